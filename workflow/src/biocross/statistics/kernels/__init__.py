"""Numeric kernels: arrays in, arrays out; no tables, no files."""

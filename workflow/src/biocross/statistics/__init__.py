"""Paired statistics: adapters from the long tables to the kernels, and back to tables."""

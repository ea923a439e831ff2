"""Paired statistics: kernels on arrays, and the adapters that feed them the long tables."""

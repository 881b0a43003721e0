"""Kernels in plain C99 that look sums up in tables instead of adding value by value."""

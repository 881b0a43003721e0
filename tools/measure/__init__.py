"""Measurements: instructions, bytes, stack and time, of our kernels and of what users would pick instead."""

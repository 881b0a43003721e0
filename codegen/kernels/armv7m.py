"""Kernels for Cortex-M3 (ARMv7-M)."""

KERNELS = ()

"""Kernels for Cortex-M0 and M0+ (ARMv6-M)."""

KERNELS = ()

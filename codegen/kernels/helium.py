"""Kernels for Cortex-M55, with Helium (MVE)."""

KERNELS = ()

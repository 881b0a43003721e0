"""Arithmetic that gives the same bytes everywhere: exp and cos, noise, sums on a grid of powers of two."""

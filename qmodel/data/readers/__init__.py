"""Readers of own data, one file format each; all give `Samples`."""

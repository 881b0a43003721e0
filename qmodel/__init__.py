"""The contract between trainer and codegen: integer semantics, model file, data sets."""

__version__ = "0.1.0"

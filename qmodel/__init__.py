"""The contract between trainer and codegen: integer semantics, model file, data sets."""

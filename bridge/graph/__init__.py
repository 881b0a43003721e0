"""The graph as read from a file, and what its tensors are to the integer model."""

"""Training of networks with one-bit weights by BinaryConnect, in numpy."""

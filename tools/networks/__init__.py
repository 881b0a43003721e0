"""Random networks, and networks that force a kernel: for proofs, measurements and tests."""

"""Long proofs: bits, reproducibility, faults on the line, kills, fuzzing."""

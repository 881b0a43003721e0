"""Data sets: those with a name, and a user's own, split into training, validation and test part."""

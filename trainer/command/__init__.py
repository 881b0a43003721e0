"""The command lines of the trainer, and the files that a run leaves behind."""

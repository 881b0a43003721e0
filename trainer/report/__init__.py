"""What a person sees of a run: texts, tables, progress and pictures."""

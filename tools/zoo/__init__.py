"""The models that ship: their recipes, runs, figures and tables."""

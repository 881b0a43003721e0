"""How a network learns: settings, the loop, batch norm folded to integers, checkpoints, scores."""

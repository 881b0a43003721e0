"""Talk to a board, or to an emulated one."""

"""Search of networks and training options within budgets of flash, RAM and instructions."""

"""What a network is made of: its text form, its layers with gradients, and their order."""

"""What runs from a checkout: set-up, demo, check, emulated cores, host side of the firmware."""

"""Generated code on emulated cores outside the firmware, with its instructions counted."""

"""The firmware on emulated cores: QEMU's machines, and PlatformIO to build for them."""

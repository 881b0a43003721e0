"""Before the build: link without start files and C library.

`build_flags` would hand -nostdlib to the compiler only.
"""

Import("env")  # noqa: F821 - SCons puts it and `env` into the script's globals

env.Append(LINKFLAGS=["-nostdlib"])  # noqa: F821

"""The commands of codegen, one file each."""

from signbit.qmodel.command import Command

COMMANDS = {
    "export": Command("signbit.codegen.commands.export:main", "write a model as one C header"),
    "inspect": Command("signbit.codegen.commands.inspect:main", "what each layer costs: bytes, ranges, instructions"),
    "verify": Command("signbit.codegen.commands.verify:main", "compile the C and compare it with Python, bit for bit"),
    "page": Command("signbit.codegen.commands.page:main", "one HTML file that runs the model's C in a browser"),
    "package": Command("signbit.codegen.commands.package:main", "a library for Arduino, CMake, Zephyr and others"),
}

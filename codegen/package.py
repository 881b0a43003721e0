"""A plan as a library for other people's projects: files by their path in the package's folder."""

from signbit.codegen.plan import Plan
from signbit.codegen.render import header_text, render

IMPLEMENTATION = "package/implementation.c.j2"


def arduino(plan: Plan) -> dict[str, str]:
    """An Arduino library (the library specification's format 1.5) with an example sketch."""
    name = plan.prefix
    return {
        "library.properties": render("package/arduino/library.properties.j2", plan),
        f"src/{name}.h": header_text(plan),
        f"src/{name}.c": render(IMPLEMENTATION, plan),
        "examples/Classify/Classify.ino": render("package/arduino/example.ino.j2", plan),
    }


def platformio(plan: Plan) -> dict[str, str]:
    """A PlatformIO library, for the project's `lib` folder."""
    name = plan.prefix
    return {
        "library.json": render("package/platformio/library.json.j2", plan),
        f"include/{name}.h": header_text(plan),
        f"src/{name}.c": render(IMPLEMENTATION, plan),
    }


def cmake(plan: Plan) -> dict[str, str]:
    """A CMake INTERFACE target; built on its own it gives an example program."""
    return {
        "CMakeLists.txt": render("package/cmake/CMakeLists.txt.j2", plan),
        f"include/{plan.prefix}.h": header_text(plan),
        "example/main.c": render("package/cmake/main.c.j2", plan),
    }


def zephyr(plan: Plan) -> dict[str, str]:
    """A Zephyr module, for the manifest or ZEPHYR_EXTRA_MODULES."""
    name = plan.prefix
    return {
        "zephyr/module.yml": render("package/zephyr/module.yml.j2", plan),
        "Kconfig": render("package/zephyr/Kconfig.j2", plan),
        "CMakeLists.txt": render("package/zephyr/CMakeLists.txt.j2", plan),
        f"include/{name}.h": header_text(plan),
        f"src/{name}.c": render(IMPLEMENTATION, plan),
    }


FORMATS = {"arduino": arduino, "platformio": platformio, "cmake": cmake, "zephyr": zephyr}

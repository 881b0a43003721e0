"""What code can be generated for: each core with its compiler flags and the macros that identify it."""

from dataclasses import dataclass

PORTABLE = "portable"
SIZE, SPEED = "size", "speed"
LEVELS = {SIZE: "-Os", SPEED: "-O2"}
"""Options of gcc and clang for what a plan is optimized for."""


@dataclass(frozen=True)
class Target:
    """A core.  `condition` is the C preprocessor's test for it, `flags` are those of gcc and clang."""

    name: str
    title: str
    condition: str
    flags: tuple[str, ...] = ()


TARGETS = {
    target.name: target
    for target in (
        Target(PORTABLE, "any C99 compiler", "1"),
        Target("cortex-m0", "Cortex-M0", "defined(__ARM_ARCH_6M__)", ("-mcpu=cortex-m0", "-mthumb")),
        Target("cortex-m0plus", "Cortex-M0+", "defined(__ARM_ARCH_6M__)", ("-mcpu=cortex-m0plus", "-mthumb")),
        Target("cortex-m3", "Cortex-M3", "defined(__ARM_ARCH_7M__)", ("-mcpu=cortex-m3", "-mthumb")),
        Target(
            "cortex-m4",
            "Cortex-M4",
            "defined(__ARM_ARCH_7EM__)",
            ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
        ),
        Target(
            "cortex-m7",
            "Cortex-M7",
            "defined(__ARM_ARCH_7EM__)",
            ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"),
        ),
        Target(
            "cortex-m33",
            "Cortex-M33",
            "defined(__ARM_ARCH_8M_MAIN__) && defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)",
            ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=soft"),
        ),
        Target(
            "cortex-m55",
            "Cortex-M55",
            "defined(__ARM_FEATURE_MVE)",
            ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
        ),
    )
}
CORTEX_M0 = frozenset({"cortex-m0", "cortex-m0plus"})
CORTEX_M3 = frozenset({"cortex-m3"})
CORTEX_DSP = frozenset({"cortex-m4", "cortex-m7", "cortex-m33"})
CORTEX_M55 = frozenset({"cortex-m55"})
EVERY_TARGET = frozenset(TARGETS)

"""Builds, measures, emulates and flashes one environment of the local platform."""

import os
import shutil
import sys

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

APT = "apt install --no-install-recommends gcc-arm-none-eabi"

env = DefaultEnvironment()
board = env.BoardConfig()

if not shutil.which("arm-none-eabi-gcc"):
    sys.stderr.write(f"error: arm-none-eabi-gcc is not on PATH: {APT}\n")
    env.Exit(1)

core = ["-mthumb", f"-mcpu={board.get('build.cpu')}", *board.get("build.fpu_flags", "").split()]

env.Replace(
    AR="arm-none-eabi-gcc-ar",
    AS="arm-none-eabi-as",
    CC="arm-none-eabi-gcc",
    CXX="arm-none-eabi-g++",
    OBJCOPY="arm-none-eabi-objcopy",
    RANLIB="arm-none-eabi-gcc-ranlib",
    SIZETOOL="arm-none-eabi-size",
    ARFLAGS=["rc"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.text|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.data|\.bss|\.noinit)\s+(\d+).*",
)
env.Append(
    CCFLAGS=[*core, "-Os", "-ffunction-sections", "-fdata-sections"],
    LINKFLAGS=[*core, "-Os", "-Wl,--gc-sections"],
    LIBS=["gcc"],
    BUILDERS={
        "ElfToBin": Builder(
            action=env.VerboseAction("$OBJCOPY -O binary $SOURCES $TARGET", "Building $TARGET"), suffix=".bin"
        ),
    },
)

if "nobuild" in COMMAND_LINE_TARGETS:
    elf = os.path.join("$BUILD_DIR", "${PROGNAME}.elf")
    image = os.path.join("$BUILD_DIR", "${PROGNAME}.bin")
else:
    elf = env.BuildProgram()
    # SCons does not look into linker scripts: link again when any of them changes.
    env.Depends(elf, env.Glob(os.path.join("$PROJECT_DIR", "ld", "*.ld")))
    if board.get("build.after_link", ""):
        script = os.path.join("$PROJECT_DIR", board.get("build.after_link"))
        env.AddPostAction(elf, env.VerboseAction(f'"$PYTHONEXE" "{script}" $TARGET', "Finishing $TARGET"))
        env.Depends(elf, env.File(script))
    image = env.ElfToBin(os.path.join("$BUILD_DIR", "${PROGNAME}"), elf)
    env.Depends(image, "checkprogsize")

program = env.Alias("buildprog", image, image)
size = env.Alias("size", elf, env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"))
AlwaysBuild(size, env.Alias("nobuild", image))

port = env.GetProjectOption("custom_qemu_port", "5555")
qemu = env.PioPlatform().qemu_command(board, "$SOURCE", f"tcp:127.0.0.1:{port},server=on,wait=off,nodelay=on")
if qemu:
    env.AddPlatformTarget(
        "qemu",
        elf,
        [
            f"@echo 'UART on TCP port {port}: pio device monitor -p socket://127.0.0.1:{port}   (stop with Ctrl-C)'",
            " ".join(qemu),
        ],
        title="Run in QEMU",
        description=f"The UART is TCP port {port}",
    )
if board.get("debug.pyocd_target", ""):
    # pyOCD drives the debug probes of all these boards; a ready elf is all it needs.
    env.Replace(UPLOADCMD=f'"$PYTHONEXE" -m pyocd load --target {board.get("debug.pyocd_target")} $SOURCE')
    AlwaysBuild(env.Alias("upload", elf, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE with pyOCD")]))

Default([program, size])

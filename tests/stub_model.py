"""The whole firmware around a model that is next to nothing: what is left is the firmware's own, and it can be hurt."""

import subprocess
from pathlib import Path

from platformio import fs
from platformio.project.config import ProjectConfig

from signbit.codegen.kernels.targets import ARM
from signbit.emulate import pio
from signbit.emulate.machines import Machine

SOURCES = ("main.c", "device.c", "listener.c", "protocol.c", "sensors/none.c", "startup.c", "core.c", "ticks.c")

# inference does what the first byte of the input says
STUB = """
#include <stdint.h>
#define MODEL_INPUT_SIZE 4
#define MODEL_OUTPUT_SIZE 1
#define MODEL_LAYER_COUNT 1
#define MODEL_ID 0x00000000u
#define MODEL_HASH "0000000000000000000000000000000000000000000000000000000000000000"
#define MODEL_NAME "stub"
#define MODEL_INPUT_SHIFT 0
#define MODEL_LOGIT_SHIFT 0
#define MODEL_SCRATCH_BYTES 4
#define MODEL_TEST_VECTORS 1
typedef struct { uint32_t words[1]; } model_scratch_t;
#ifdef MODEL_IMPLEMENTATION
static void hurt(uint8_t how);
static inline void model_infer(const uint8_t *input, int32_t *logits, model_scratch_t *scratch)
{
    (void)scratch;
    hurt(input[0]);
    logits[0] = input[0];
    MODEL_TRACE(0, logits, 4u);
}
static inline uint32_t model_argmax(const int32_t *logits) { (void)logits; return 0; }
static inline uint32_t model_confidence(const int32_t *logits) { (void)logits; return 1000; }
static inline const char *model_label(uint32_t index) { (void)index; return "only"; }
static inline uint32_t model_self_test(model_scratch_t *scratch) { (void)scratch; return SELF_TEST_FAILED; }
"""
UNHURT = "static void hurt(uint8_t how) { (void)how; }\n"
HURT = """
#define UNDEFINED 1
#define HANG 2
#define OVERFLOW 3
__attribute__((noinline)) static int deeper(volatile int *above)
{
    volatile int frame[16];
    frame[0] = *above + 1;
    return deeper(frame) + frame[0];
}
static void hurt(uint8_t how)
{
    volatile int first = 0;
    if (how == UNDEFINED) {
        __asm volatile("movs r0, #0x5a\\n\\tudf #0" ::: "r0");
    } else if (how == HANG) {
        for (;;) { first = 1; }
    } else if (how == OVERFLOW) {
        (void)deeper(&first);
    }
}
"""


def build_stub(folder: Path, machine: Machine, hurt: str = UNHURT, self_test_failed: int = 0) -> Path:
    """The firmware of the machine's environment, with its flags and port, around the stub."""
    return build_firmware(folder, machine, STUB + hurt + "#endif\n", f"-DSELF_TEST_FAILED={self_test_failed}")


def build_firmware(folder: Path, machine: Machine, header: str, *options: str) -> Path:
    """The same around any model.h."""
    (folder / "model.h").write_text(header)
    with fs.cd(pio.FIRMWARE):
        config = ProjectConfig("platformio.ini")
    section = f"env:{machine.env}"
    port = f"{config.get(section, 'custom_port')}.c"
    sources = [*(pio.FIRMWARE / "src" / name for name in SOURCES), pio.FIRMWARE / "src" / "ports" / port]
    flags = [word for text in config.get(section, "build_flags") for word in text.split()]
    elf = folder / "firmware.elf"
    subprocess.run(
        [
            *(ARM.compiler, f"-mcpu=cortex-{machine.core}", "-mthumb", "-Os", "-ffunction-sections", "-fdata-sections"),
            *(*flags, f"-I{folder}", *options, "-nostdlib", "-Wl,--gc-sections"),
            *(*sources, f"-T{config.get(section, 'board_build.ldscript')}", "-lgcc", "-o", elf),
        ],
        cwd=pio.FIRMWARE,
        check=True,
    )
    return elf

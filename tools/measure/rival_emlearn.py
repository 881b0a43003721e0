"""What a user would pick instead: emlearn's generated float network of the same architecture, counted the same way.

scikit-learn trains it, emlearn makes its C, arm-none-eabi-gcc compiles it with the C library (newlib-nano): for an M0
with floating point in software, for an M4 with its floating-point unit and the hard-float ABI.
"""

import contextlib
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path

import numpy as np

from signbit.codegen.kernels.targets import ARM
from signbit.codegen.measure import section_bytes
from signbit.codegen.process import output_of
from signbit.emulate.machines import MACHINES, Machine
from signbit.qmodel.data.named import load_dataset
from tools.cores import emulated as cores
from tools.measure.bench_layers import Measured, WrongOutput
from tools.measure.bench_models import enlarge, layer_name, pictures
from tools.measure.rival_code import LIBRARIES
from tools.measure.rival_code import missing as code_missing

KERNEL = "emlearn float"
INSTALL = 'pip install "signbit[bench]"'
PREFIX = "rival"
INPUTS = 3
FULL_SCALE = np.float32(255)
TRAINING_PASSES = 15

MAIN = """#include "rival.h"
#include "stream.h"

static float features[%(features)d];

int main(void)
{
    stream_open();
    for (int left = %(inputs)d; left > 0; left--) {
        int32_t label;
        stream_read(features, sizeof features);
        STREAM_START();
        label = rival_predict(features, %(features)d);
        STREAM_STOP();
        stream_write(&label, sizeof label);
    }
    stream_close();
    return 0;
}
"""
# what a firmware takes that does nothing but call the network
ALONE = """#include "rival.h"

int32_t alone(const float *features);

int32_t alone(const float *features)
{
    return rival_predict(features, %(features)d);
}
"""


@dataclass(frozen=True)
class Rival:
    """A float network with one hidden layer; `model` is the name of ours that has the same architecture."""

    model: str
    inputs: int
    hidden: int
    classes: int = 10

    @property
    def macs(self) -> int:
        return self.inputs * self.hidden + self.hidden * self.classes


@dataclass(frozen=True)
class Build:
    """How it is compiled for a core, and on which machine it runs."""

    machine: Machine
    flags: tuple[str, ...]


RIVALS = {rival.model: rival for rival in (Rival("digits-mlp", 64, 64), Rival("mnist-mlp", 784, 128))}
# the float weights of 784-128-10 take 400 KB, which no M0 has: M0's code runs on the emulated M3 with its 4 MB
# GCC's own standard, as users have it: -std=c11 would switch fused multiply-add off
BUILDS = {
    "m0": Build(cores.LARGE_M0, ("-mcpu=cortex-m0", "-mthumb", "-std=gnu17")),
    "m4": Build(MACHINES["m4"], ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-std=gnu17")),
}


def missing() -> str | None:
    """Why no rival can be measured, with the line that installs what is missing; None if it can."""
    return packages_missing() or code_missing()


def packages_missing() -> str | None:
    """Why no rival can be made, with the line that installs what is missing; None if it can."""
    found = util.find_spec("emlearn") and util.find_spec("sklearn")
    return None if found else f"emlearn or scikit-learn is missing: {INSTALL}"


def measure(name: str, core: str) -> list[Measured]:
    """One row, instructions of one inference; raises WrongOutput when the labels are not scikit-learn's."""
    rival, how = RIVALS[name], BUILDS[core]
    classifier = train(rival)
    x = pictures(rival.inputs, INPUTS) / FULL_SCALE
    with tempfile.TemporaryDirectory(prefix="signbit-") as place:
        folder = Path(place)
        include = write_c(classifier, folder)
        source = folder / "main.c"
        source.write_text(MAIN % {"features": rival.inputs, "inputs": INPUTS})
        flags = (*how.flags, "-isystem", str(folder), "-isystem", include)
        elf = cores.build(source, how.machine, flags=flags, libraries=LIBRARIES)
        run = cores.execute(elf, how.machine, x.astype(np.float32).tobytes(), count=True)
        flash_bytes, ram_bytes = _sizes(rival, how, folder, include)
    labels = np.frombuffer(run.output, "<i4")
    if not np.array_equal(labels, classifier.predict(x)):
        raise WrongOutput(f"{KERNEL} on {core}: labels {labels}, scikit-learn's {classifier.predict(x)}")
    measured = Measured(
        core=core,
        layer=layer_name(name),
        kernel=KERNEL,
        chosen=False,
        macs=rival.macs,
        instructions=run.instructions[0],
        predicted_instructions=None,
        estimated_cycles=run.cycles[core][0],
        estimated_cycles_m0plus=run.cycles["m0plus"][0] if core == "m0" else None,
        flash_bytes=flash_bytes,
        scratch_bytes=ram_bytes,
    )
    return [measured]


@cache
def train(rival: Rival):
    """A scikit-learn MLPClassifier on real digits, pixels from 0 to 1."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    data = load_dataset("digits").train
    x = data.x if rival.inputs == data.x.shape[1] else enlarge(data.x)
    classifier = MLPClassifier((rival.hidden,), max_iter=TRAINING_PASSES, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # how well it is trained changes no count
        return classifier.fit((x / FULL_SCALE).astype(np.float32), data.y)


def write_c(classifier, folder: Path) -> str:
    """Write rival.h as emlearn makes it by default; returns the folder of the headers that it includes."""
    # emlearn leaves numpy raising on every underflow, and a folder `tmp` where it is called
    with np.errstate(), contextlib.chdir(folder):
        import emlearn

        emlearn.convert(classifier).save(file=str(folder / f"{PREFIX}.h"), name=PREFIX)
    return emlearn.includedir


def _sizes(rival: Rival, how: Build, folder: Path, include: str) -> tuple[int, int]:
    """Bytes in flash and in RAM of nothing but a call of the network, library and float routines included."""
    source = folder / "alone.c"
    source.write_text(ALONE % {"features": rival.inputs})
    elf = folder / "alone.elf"
    command = [
        *(ARM.compiler, *how.flags, cores.OPTIMIZE),
        *("-ffreestanding", "-ffunction-sections", "-fdata-sections", "-nostdlib", "-Wl,--gc-sections", "-Wl,-e,alone"),
        *("-isystem", str(folder), "-isystem", include, str(source), *LIBRARIES, "-o", str(elf)),
    ]
    output_of(command)
    listing = output_of([ARM.size_tool, "-A", "-d", str(elf)])
    return section_bytes(listing), section_bytes(listing, (".data", ".bss"))

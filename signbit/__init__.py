"""Networks with one-bit weights, from training in Python to C on a microcontroller.

signbit.qmodel     integer semantics, model file, data sets
signbit.trainer    training
signbit.codegen    C for a microcontroller
signbit.bridge     import from and export to ONNX
signbit.jobs       what runs in other processes
signbit.device     talk to a board
signbit.emulate    the firmware on emulated cores
"""

from pathlib import Path

__version__ = "0.1.0"

_HERE = Path(__file__).resolve().parent
if not (_HERE / "qmodel").is_dir():
    # in a checkout qmodel, trainer and codegen lie beside this folder; a wheel has them in it
    __path__.append(str(_HERE.parent))

"""The table of kernels: all that the rooms' modules have in their `KERNELS`."""

from importlib import import_module
from pkgutil import iter_modules

from signbit.codegen.kernels.base import Job, Kernel
from signbit.codegen.kernels.by_row import ByRow
from signbit.qmodel.errors import SignbitError

ROOMS = ("m0", "m3", "m4", "m55", "rv32", "c99")
"""In the order of preference among kernels that cost the same."""


def _found() -> tuple[Kernel, ...]:
    rooms = [import_module(f"{__name__}.{room}") for room in ROOMS]
    names = [f"{room.__name__}.{module.name}" for room in rooms for module in iter_modules(room.__path__)]
    return tuple(kernel for name in names for kernel in getattr(import_module(name), "KERNELS", ()))


KERNELS = _found()


def candidates(job: Job) -> list[Kernel]:
    """Every kernel that computes `job` on its target; raises SignbitError if there is none."""
    found = computing(job)
    if not found:
        encodings = " and ".join(sorted({value.encoding.value for value in job.inputs}))
        raise SignbitError(f"no kernel for {job.target} computes {job.layer.kind} of {encodings}")
    return found


def computing(job: Job) -> list[Kernel]:
    """The kernels that compute `job`, row by row where values lie two a byte and they know bytes alone."""
    kernels = [way for kernel in KERNELS for way in (kernel, ByRow(kernel))]
    return [kernel for kernel in kernels if kernel.computes(job)]

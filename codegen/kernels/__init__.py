"""The table of kernels, by family.  A new kernel is a class in its family's file and a template."""

from signbit.codegen.kernels import armv6m, armv7m, conv_vectors, dsp, helium, merges, portable
from signbit.codegen.kernels.base import Job, Kernel
from signbit.codegen.kernels.rv32.conv_vectors import ConvVectors, SmallConvVectors
from signbit.codegen.kernels.rv32.dense_tables import DenseTables
from signbit.qmodel.errors import SignbitError

KERNELS: tuple[Kernel, ...] = (
    *armv6m.KERNELS,
    *conv_vectors.KERNELS,
    *armv7m.KERNELS,
    *dsp.KERNELS,
    *helium.KERNELS,
    ConvVectors(),
    SmallConvVectors(),
    DenseTables(),
    *merges.KERNELS,
    *portable.KERNELS,
)


def candidates(job: Job) -> list[Kernel]:
    """Every kernel that computes `job` on its target; raises SignbitError if there is none."""
    found = [kernel for kernel in KERNELS if kernel.computes(job)]
    if not found:
        encodings = " and ".join(sorted({value.encoding.value for value in job.inputs}))
        raise SignbitError(f"no kernel for {job.target} computes {job.layer.kind} of {encodings}")
    return found

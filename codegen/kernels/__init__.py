"""The table of kernels, by family.  A new kernel is a class in its family's file and a template."""

from signbit.codegen.kernels import armv6m, armv7m, dsp, helium, portable
from signbit.codegen.kernels.base import Job, Kernel

KERNELS: tuple[Kernel, ...] = (
    *armv6m.KERNELS,
    *armv7m.KERNELS,
    *dsp.KERNELS,
    *helium.KERNELS,
    *portable.KERNELS,
)


def candidates(job: Job) -> list[Kernel]:
    """Every kernel that computes `job` on its target."""
    return [kernel for kernel in KERNELS if job.target in kernel.targets and kernel.fits(job)]

"""Average pools in plain C99."""

from signbit.codegen.kernels.base import BYTES, Job
from signbit.codegen.kernels.c99.loops import PortableKernel
from signbit.qmodel.layers import AveragePool
from signbit.qmodel.value import size_of


class AveragePoolSums(PortableKernel):
    """Sums each window, channel by channel."""

    layer = AveragePool
    reads = BYTES
    writes = BYTES

    def values(self, job: Job) -> dict[str, int]:
        _, width, channels = job.input_shape
        pool_height, pool_width = job.layer.size
        return {
            "multiplier": int(job.layer.activation.multiplier[0]),
            "line_bytes": width * channels,
            "row_bytes": pool_height * width * channels,
            "column_bytes": pool_width * channels,
        }

    def loop_terms(self, job: Job) -> dict[str, int]:
        outputs = size_of(job.output_shape)
        return {"row": outputs * job.layer.size[0], "value": outputs * job.layer.fan_in}


KERNELS = (AveragePoolSums(),)

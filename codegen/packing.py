"""Which values lie two a byte: those of at most 15, where that lowers the scratch and is worth its price.

A `plan` is a `plan.Plan`, which this module can't import: planning decides by it.
"""

from collections.abc import Callable

from signbit.codegen import code_size
from signbit.codegen.choose import Limits
from signbit.codegen.jobs import jobs_of, of_four_bits
from signbit.codegen.kernels import computing
from signbit.codegen.kernels.targets import SIZE
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel

SAVED, MORE = 0.9, 1.1
"""Values lie two a byte where the scratch falls to this share, and work, or flash, rises to no more than this one."""


def packable(model: QuantizedModel, target: str, optimize: str, is_swappable: bool) -> frozenset[int]:
    """Values that may lie two a byte, with kernels for all who write and read them."""
    packed = of_four_bits(model)
    if not packed:
        return packed
    jobs = jobs_of(model, target, optimize, is_swappable, packed)
    # a layer can't read rows of padding of one-bit values, but its output lies as all others then
    return packed - {index + 1 for index, job in enumerate(jobs) if not computing(job)}


def packed_where_it_pays(plan_with: Callable[[frozenset[int]], object], candidates: frozenset[int], limits: Limits):
    """The plan in which those of `candidates` lie two a byte that lower the scratch, if that is worth its price.

    Where RAM is bounded it has to be quicker, or smaller, than without, within the bound.
    """

    def tried(values: frozenset[int]):
        try:
            return plan_with(values)
        except SignbitError:
            return None

    plain, packed = tried(frozenset()), tried(candidates)
    if packed is None:
        return plain or plan_with(frozenset() if limits.ram_bytes is None else candidates)
    values = candidates
    for value in sorted(candidates):
        fewer = tried(values - {value})
        is_small = fewer and (limits.ram_bytes is not None or fewer.scratch_bytes <= packed.scratch_bytes)
        if is_small and price(fewer) <= price(packed):
            packed, values = fewer, values - {value}
    if plain is None:
        return packed
    if limits.ram_bytes is not None:
        return min(plain, packed, key=price)
    pays = packed.scratch_bytes <= SAVED * plain.scratch_bytes and price(packed) <= MORE * price(plain)
    return packed if pays else plain


def price(plan) -> float:
    """What kernels are chosen by: predicted bytes of flash or instructions; 1 where a compiler decides."""
    if plan.optimize == SIZE:
        return plan.data_bytes + (code_size.predicted_code_bytes(plan) or 0)
    return plan.instructions or 1

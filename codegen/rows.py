"""Which value is made row by row as it is read, instead of being held: where RAM is bounded and that is the best plan.

A `plan` is a `plan.Plan`, which this module can't import: planning decides by it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf

from signbit.codegen.choose import Limits
from signbit.codegen.jobs import Made, jobs_of, readable_by_row
from signbit.codegen.kernels import computing
from signbit.codegen.kernels.base import Job, Kernel
from signbit.codegen.packing import packed_where_it_pays, price
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel

ROWS_AT_ONCE = (1, 2)
"""Powers of two, as not every core can divide."""


def ways_by_row(model: QuantizedModel, target: str, optimize: str) -> Iterator[dict[int, Made]]:
    """Each value whose rows can be made as they are read, with how: kernels that are quicker or take less scratch."""
    for number in readable_by_row(model):
        for rows in ROWS_AT_ONCE:
            job = replace(jobs_of(model, target, optimize)[number - 1], rows_at_once=rows)
            if model.values[number].shape[0] % rows:
                continue
            made = [Made(kernel, rows) for kernel in _best(job)]
            readers = (jobs_of(model, target, optimize, made={number: way})[number] for way in made)
            yield from ({number: way} for way, reader in zip(made, readers, strict=True) if computing(reader))


def _best(job: Job) -> list[Kernel]:
    """The kernels that no other beats in both instructions and scratch."""
    costs = [(kernel.cost(job), kernel) for kernel in computing(job)]
    found = sorted(costs, key=lambda pair: (pair[0].instructions or 0, pair[0].scratch_bytes))
    least = [min((cost.scratch_bytes for cost, _ in found[:end]), default=inf) for end in range(len(found))]
    return [kernel for (cost, kernel), bound in zip(found, least, strict=True) if cost.scratch_bytes < bound]


def by_row_where_it_pays(
    plan_with: Callable[..., object], packed: frozenset[int], limits: Limits, ways: Iterator[Mapping[int, Made]]
):
    """The best plan within the limits, with some value made by row or with none; raises SignbitError if none fits."""
    plans, failed = [], None
    tries = [
        lambda: packed_where_it_pays(plan_with, packed, limits) if packed else plan_with(),
        *(lambda way=way: plan_with(made=way) for way in ways),
    ]
    for tried in tries:
        try:
            plans.append(tried())
        except SignbitError as error:
            failed = failed or error
    if not plans:
        raise failed
    return min(plans, key=price)

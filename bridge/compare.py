"""The imported model beside the graph that it came from, input by input."""

from dataclasses import dataclass

import numpy as np

from signbit.bridge.importing import Imported
from signbit.bridge.running import Runner
from signbit.qmodel import integer
from signbit.qmodel.data.dataset import Split

SLOW_INPUTS = 300
"""How many are compared where only onnx's reference can run the graph."""


@dataclass(frozen=True)
class Comparison:
    """Differences are between the real logits, whose standard deviation is `spread`."""

    library: str
    inputs: int
    labels_equal: int
    graph_correct: int
    model_correct: int
    difference_max: float
    spread: float


def compare(imported: Imported, data: Split) -> Comparison:
    """Over all of the inputs, or the first SLOW_INPUTS of them where the graph runs slowly."""
    runner, model = Runner(imported, [imported.logits]), imported.model
    count = len(data) if runner.is_fast else min(len(data), SLOW_INPUTS)
    real = np.concatenate([outputs[0].reshape(-1, model.output_size) for outputs in runner.outputs(data.x[:count])])
    if np.issubdtype(real.dtype, np.integer):
        real = real * 2.0**-model.logit_shift
    logits = model.run(data.x[:count])
    graph, ours, truth = real.argmax(axis=1), integer.argmax(logits), data.y[:count]
    return Comparison(
        runner.library,
        count,
        int((graph == ours).sum()),
        int((graph == truth).sum()),
        int((ours == truth).sum()),
        float(np.abs(real - logits * 2.0**-model.logit_shift).max()),
        float(real.std()),
    )

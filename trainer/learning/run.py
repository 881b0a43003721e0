"""A whole run: settings and data in, trained network, integer model and scores out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from signbit import __version__
from signbit.qmodel.data.named import Dataset
from signbit.qmodel.model import QuantizedModel
from signbit.trainer.learning.checkpoint import Checkpoint
from signbit.trainer.learning.evaluate import Score, score_all, scores_as_dict
from signbit.trainer.learning.quantize import quantize
from signbit.trainer.learning.reject import Accepted, accepted, accepted_as_dict, fit_known
from signbit.trainer.learning.settings import Settings
from signbit.trainer.learning.sound import augmented
from signbit.trainer.learning.train import Epoch, History, Training
from signbit.trainer.network.network import Network, build


@dataclass(frozen=True, eq=False)
class Run:
    settings: Settings
    network: Network
    model: QuantizedModel | None
    """None for a float network."""
    history: History
    scores: dict[str, dict[str, Score]]
    """scores["validation" or "test"][figure], figures as `signbit.trainer.learning.evaluate` names them; a fold has no
    test part."""
    accepted: dict[str, Accepted]
    """What the reject leaves of each part; empty without one."""


def run(
    settings: Settings,
    data: Dataset,
    name: str | None = None,
    out_name: str | None = None,
    watch: Callable[[Epoch], None] = lambda epoch: None,
    between: Callable[[Training], None] = lambda training: None,
    checkpoint: Checkpoint | None = None,
) -> Run:
    """Train, quantize and score.  Every choice is made on the validation part; the test part is read last, once.

    `name` (default: the data set's) and `out_name`, a bare file name, go into the model's provenance.  `watch` and
    `between` as in `Training.run`; with a `checkpoint` of the same settings and data the run goes on from there.
    """
    name = name or data.name
    training = begin(settings, augmented(data, settings))
    if checkpoint is not None:
        checkpoint.restore(training)
    history = training.run(watch, lambda: between(training))

    network = training.trained
    shape, stages = data.input_shape, (data.quantization, data.front_end)
    model = quantize(network, name, shape, data.labels, *stages) if network.is_binarized else None
    parts = {"validation": data.validation, "test": data.test}
    scores = {name: score_all(network, model, part) for name, part in parts.items() if len(part)}
    kept = {}
    if settings.reject:
        logits = {name: (model.run(parts[name].x), parts[name].y) for name in scores}
        model = replace(model, reject=fit_known(logits["validation"][0], settings.reject)).validate()
        kept = {name: accepted(model, *found) for name, found in logits.items()}
    if model is not None:
        command = settings.command(name, out_name, data.options.words() if data.options else ())
        provenance = _provenance(settings, data, history, scores, command)
        if settings.reject:
            provenance["reject"] = {"rate": settings.reject, **accepted_as_dict(kept)}
        model = replace(model, provenance=provenance)
    return Run(settings, network, model, history, scores, kept)


def begin(settings: Settings, data: Dataset) -> Training:
    """The network with its first latent weights, before the first step."""
    rng = np.random.default_rng(settings.seed)
    network = build(
        settings.architecture(data.input_shape, len(data.labels)),
        data.input_shape,
        settings.binarize,
        rng,
        high=settings.high,
        logit_gamma=settings.logit_gamma,
        norm_rate=settings.norm_rate,
        dropout=settings.dropout,
        encoding=data.encoding,
    )
    return Training(network, data, settings, rng)


def _provenance(
    settings: Settings, data: Dataset, history: History, scores: dict[str, dict[str, Score]], command: str
) -> dict:
    """How the model was made: plain JSON values, no clock and no path, so that the file is the same each time."""
    return {
        "command": command,
        "signbit": __version__,
        "data": data.as_dict(),
        "settings": settings.as_dict(),
        "epoch": history.chosen.number,
        "accuracy": {part: scores_as_dict(figures) for part, figures in scores.items()},
    }

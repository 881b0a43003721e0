"""Folds: the training and validation part split again and again, so that each of their samples is validated once."""

from dataclasses import replace

import numpy as np

from signbit.qmodel.data.dataset import Dataset, Split
from signbit.qmodel.data.series import Windows
from signbit.qmodel.data.split import every_nth

NAMES = ("x", "y", "samples")


def folds_of(data: Dataset, count: int, samples_max: int | None = None) -> list[Dataset]:
    """`count` data sets without a test part, which take turns in what they validate on; of at most about `samples_max`.

    Where samples of one part may not be mixed with the other's, such as windows of one recording, there is one fold:
    the parts as they are.
    """
    x = data.test.x
    nothing = Split(x.none if isinstance(x, Windows) else x[:0], data.test.y[:0])
    if data.is_kept_apart:
        return [replace(data, test=nothing)]
    arrays = {name: _joined(data, name) for name in NAMES}
    classes = arrays["y"]
    used = np.arange(len(classes))
    if samples_max is not None and len(classes) > samples_max:
        _, used = every_nth(classes, used, -(-len(classes) // samples_max))
    made = []
    for number in range(count):
        train, validation = (
            Split(*(None if array is None else array[part] for array in arrays.values()))
            for part in every_nth(classes, used, count, number)
        )
        rule = f"fold {number} of {count} of the training and validation part: {data.split_rule}"
        made.append(replace(data, train=train, validation=validation, test=nothing, split_rule=rule))
    return made


def _joined(data: Dataset, name: str) -> np.ndarray | None:
    """An array of `Split`, of the training part and then of the validation part."""
    arrays = [getattr(part, name) for part in (data.train, data.validation)]
    return None if arrays[0] is None else np.concatenate(arrays)

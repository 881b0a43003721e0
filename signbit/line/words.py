"""Words on the screen, a line each, as they are heard."""

import json
from collections.abc import Sequence

from rich.console import Console

from signbit.qmodel.stream import Word
from signbit.qmodel.untrusted import shown


def as_dict(word: Word, labels: Sequence[str], hop_s: float) -> dict:
    """The word as JSON has it; one that the labels do not name is a number."""
    label = labels[word.class_index] if word.class_index < len(labels) else str(word.class_index)
    return {
        "second": round(word.hops * hop_s, 3),
        "word": label,
        "confidence_per_mille": word.confidence_per_mille,
    }


def print_word(screen: Console, word: Word, labels: Sequence[str], hop_s: float, is_json: bool = False) -> None:
    """Second, word and confidence; a pipe gets the line at once, too."""
    found = as_dict(word, labels, hop_s)
    if is_json:
        screen.print(json.dumps(found), soft_wrap=True)
    else:
        width = max((len(shown(label)) for label in labels), default=0)
        confidence = f"{found['confidence_per_mille'] / 10:5.1f} %"
        screen.print(f"{found['second']:8.2f} s  {shown(found['word']):<{width}}  {confidence}", soft_wrap=True)
    screen.file.flush()

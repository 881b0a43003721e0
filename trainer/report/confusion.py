"""What `evaluate` prints: accuracy, figures of each class and the confusion matrix."""

from rich.cells import cell_len, set_cell_size

from signbit.qmodel.untrusted import shown
from signbit.trainer.learning.evaluate import ClassFigures, Confusion, Refusal, scores_as_dict
from signbit.trainer.report.results import UNDEFINED, accuracy_text, coverage_text, interval_json, interval_text

LABEL_COLUMNS = 24
"""Longer labels are cut."""


def confusion_text(
    confusion: Confusion, name: str, data_name: str, columns: int = 80, part: str = "of the test part"
) -> str:
    """The result for people, no wider than `columns` if one class fits."""
    score = confusion.score
    return "\n".join(
        [
            f"{name} on {shown(data_name)}: integer accuracy {score.accuracy:.2%} ({score.right}/{score.count} {part})",
            f"95 % interval {interval_text(score)} (Wilson score), macro F1 {confusion.macro_f1:.2%}",
            *_refusal_lines(confusion.refusal),
            "",
            *_class_lines(confusion),
            "",
            *_matrix_lines(confusion, columns),
        ]
    )


def confusion_json(confusion: Confusion, name: str, model_hash: str, data_name: str) -> dict:
    """The same for programs; intervals are of 95 %."""
    return {
        "command": "evaluate",
        "model": {"name": name, "hash": model_hash},
        "data": data_name,
        "accuracy": {"test": scores_as_dict({"integer": confusion.score})},
        "interval": {"test": {"integer": interval_json(confusion.score)}},
        "macro_f1": confusion.macro_f1,
        **tables_json(confusion),
    }


def tables_json(confusion: Confusion) -> dict:
    """Figures of each class, and the matrix, whose rows are the actual classes."""
    return {
        "labels": list(confusion.labels),
        "classes": [_class_json(figures) for figures in confusion.classes],
        "confusion": confusion.counts.tolist(),
        **({} if confusion.refusal is None else {"reject": _refusal_json(confusion.refusal)}),
    }


def shown_labels(labels: tuple[str, ...]) -> list[str]:
    """Labels as terminals and pictures show them: cut, and without characters that move a cursor or break a line."""
    texts = [shown(label) for label in labels]
    return [text if cell_len(text) <= LABEL_COLUMNS else set_cell_size(text, LABEL_COLUMNS - 1) + "…" for text in texts]


def _class_json(figures: ClassFigures) -> dict:
    recall = figures.recall
    return {
        "label": figures.label,
        "precision": figures.precision,
        "recall": None if recall is None else recall.accuracy,
        "recall_interval": None if recall is None else interval_json(recall),
        "f1": figures.f1,
        "support": figures.support,
    }


def _refusal_json(refusal: Refusal) -> dict:
    unknown = refusal.unknown
    return {
        "accepted": refusal.accepted.as_dict(),
        "curve": [kept.as_dict() for kept in refusal.curve],
        "unknown": None if unknown is None else {"refused": unknown.right, "count": unknown.count},
    }


def _refusal_lines(refusal: Refusal | None) -> list[str]:
    """What is accepted, how many unknown inputs are refused, and accuracy against coverage in columns."""
    if refusal is None:
        return []
    kept, unknown = refusal.accepted, refusal.unknown
    lines = [
        f"accepted {coverage_text(kept)}, right of these {accuracy_text(kept)}",
    ]
    if unknown is not None:
        lines.append(
            f"refused of unknown classes {unknown.accuracy:.2%} ({unknown.right}/{unknown.count}), "
            f"95 % interval {interval_text(unknown)}"
        )
    points = "".join(f"{point.coverage:>8.1%}" for point in refusal.curve)
    accuracies = "".join(f"{point.accuracy:>8.2%}" for point in refusal.curve)
    return [*lines, "", f"coverage  {points}", f"accuracy  {accuracies}"]


def _class_lines(confusion: Confusion) -> list[str]:
    """Precision, recall, F1 and support, one line per class."""
    labels = shown_labels(confusion.labels)
    width = max(map(cell_len, ["class", *labels]))
    lines = [f"{'class':<{width}}  precision   recall       F1  support"]
    for label, figures in zip(labels, confusion.classes, strict=True):
        recall = None if figures.recall is None else figures.recall.accuracy
        lines.append(
            f"{set_cell_size(label, width)}  {_percent(figures.precision):>9}  {_percent(recall):>7}  "
            f"{_percent(figures.f1):>7}  {figures.support:>7}"
        )
    return lines


def _matrix_lines(confusion: Confusion, columns: int) -> list[str]:
    """The matrix in as few blocks of columns as fit; where labels are too wide for that, they are numbered."""
    labels = heads = shown_labels(confusion.labels)
    count_columns = len(str(confusion.counts.max()))
    first, cell = _widths(labels, heads, count_columns)
    if first + cell * len(heads) > columns:
        numbers = [f"#{number}" for number in range(1, len(labels) + 1)]
        width, number_width = max(map(cell_len, labels)), len(numbers[-1])
        if max(count_columns, number_width) + 1 < cell:
            heads = numbers
            labels = [
                f"{set_cell_size(label, width)} {number:>{number_width}}"
                for label, number in zip(labels, numbers, strict=True)
            ]
            first, cell = _widths(labels, heads, count_columns)
    blocks = -(-len(heads) // max(1, (columns - first) // cell))
    per_block = -(-len(heads) // blocks)
    lines = []
    for start in range(0, len(heads), per_block):
        block = slice(start, start + per_block)
        lines += [
            *([""] if lines else []),
            f"{'':<{first}} predicted",
            f"{'actual':<{first}}{''.join(_right(head, cell) for head in heads[block])}",
        ]
        for label, row in zip(labels, confusion.counts, strict=True):
            cells = "".join(f"{count or '.':>{cell}}" for count in row[block])
            lines.append(f"{set_cell_size(label, first)}{cells}")
    return lines


def _widths(labels: list[str], heads: list[str], count_columns: int) -> tuple[int, int]:
    """Widths of the column of labels, and of a column of counts."""
    return max(map(cell_len, ["actual", *labels])) + 1, max(count_columns, *map(cell_len, heads)) + 1


def _right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.2%}"

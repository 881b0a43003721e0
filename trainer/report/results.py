"""What the commands print: text for people, plain JSON values for programs."""

from signbit.trainer.learning.evaluate import Score, scores_as_dict
from signbit.trainer.learning.reject import Accepted, accepted_as_dict
from signbit.trainer.learning.run import Run

UNDEFINED = "–"
"""Shown for a fraction of nothing, such as the recall of a class without inputs."""


def run_text(run: Run, out: str | None) -> str:
    """The result of a training run."""
    settings, chosen = run.settings, run.history.chosen
    hidden = "-".join(map(str, settings.hidden))
    lines = [
        f"{settings.data} {settings.model}{' ' + hidden if hidden else ''}, "
        f"{'float weights' if run.model is None else f'{settings.binarize} one-bit weights'}, seed {settings.seed}",
        f"{settings.optimizer}, learning rate {settings.lr:g} ({settings.schedule}), batches of {settings.batch_size}",
        f"epoch {chosen.number} of {settings.epochs}, chosen by validation; "
        f"trained in {run.history.epochs[-1].seconds:.1f} s",
        "",
    ]
    rows = [("accuracy", "validation", "test")]
    for figure in run.scores["test"]:
        cells = [run.scores[part][figure] for part in ("validation", "test")]
        rows.append((figure.replace("_", "-"), *(f"{cell.accuracy:.2%} ({cell.right}/{cell.count})" for cell in cells)))
    rows.append(("95 % interval", *map(interval_text, cells)))
    if run.accepted:
        kept = [run.accepted[part] for part in ("validation", "test")]
        rows.append(("accepted", *map(coverage_text, kept)))
        rows.append(("right of these", *map(accuracy_text, kept)))
    width = max(20, *(2 + len(cell) for _, *shown in rows for cell in shown))
    lines += [f"{head:<16}{validation:>{width}}{test:>{width}}" for head, validation, test in rows]
    lines.append("")
    if run.model is None:
        lines.append("A float network has no integer model, so nothing is saved; --binarize deterministic makes one.")
    else:
        lines.append(f"model {run.model.name}, hash {run.model.hash}")
        lines.append(f"saved as {out}" if out else "not saved: name a file with --out")
    return "\n".join(lines)


def run_json(run: Run, out: str | None) -> dict:
    """The same for programs, with every epoch."""
    return {
        "command": "train",
        "settings": run.settings.as_dict(),
        "epoch": run.history.chosen.number,
        "seconds": round(run.history.epochs[-1].seconds, 3),
        "accuracy": {part: scores_as_dict(figures) for part, figures in run.scores.items()},
        "interval": {
            part: {figure: interval_json(score) for figure, score in figures.items()}
            for part, figures in run.scores.items()
        },
        "reject": accepted_as_dict(run.accepted) if run.accepted else None,
        "model": None if run.model is None else {"name": run.model.name, "hash": run.model.hash, "out": out},
        "epochs": [{**vars(epoch), "seconds": round(epoch.seconds, 3)} for epoch in run.history.epochs],
    }


def coverage_text(kept: Accepted) -> str:
    """`95.56% (344/360)`"""
    return f"{kept.coverage:.2%} ({kept.count}/{kept.total})"


def accuracy_text(kept: Accepted) -> str:
    """`99.42% (342/344)`, or a dash where all were refused."""
    return UNDEFINED if kept.accuracy is None else f"{kept.accuracy:.2%} ({kept.right}/{kept.count})"


def interval_text(score: Score) -> str:
    """`95.33% to 98.87%`"""
    return " to ".join(f"{end:.2%}" for end in score.interval)


def interval_json(score: Score) -> list[float]:
    return [round(end, 6) for end in score.interval]

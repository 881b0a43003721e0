"""What a search draws from: templates of networks, what goes into their braces, and training options.

    networks = ["conv3x3{pad}:{width}{pool}, dense", "dense:{hidden}, dense"]

    [network]
    width = { from = 7, to = 35, step = 7 }
    hidden = [16, 24, 32]
    pad = ["", "pad"]
    pool = ["", " pool2"]

    [training]
    lr = { from = 0.003, to = 0.1, log = true }
    epochs = [60, 120]

A value is one of a list, or a number of a range.  Names in [training] are the options of `signbit train`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from importlib import resources
from numbers import Real
from pathlib import Path
from string import Formatter

from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file
from signbit.qmodel.value import Shape
from signbit.trainer.learning.settings import Settings
from signbit.trainer.network.architecture import parse

FILE_BYTES_MAX = 1 << 20
NUMBER_MAX = 1 << 53
"""The largest number of a range: Optuna keeps numbers as floats."""
TABLES = {"networks", "network", "training"}
NOT_TRAINING = {"data", "model", "hidden", "binarize", "seed"}
"""Settings that are not a search's to choose: templates are the model, weights have one bit, seeds are to retrain."""
NETWORK = "network"
"""The parameter that says which template was drawn."""
PLAIN = bool | int | float | str
SPAN_KEYS = {"from", "to", "step", "log"}


@dataclass(frozen=True)
class Values:
    """One of a list."""

    values: tuple

    def draw(self, trial, name: str):
        return trial.suggest_categorical(name, self.values)

    @property
    def ends(self) -> tuple:
        """Values that show whether all are possible."""
        return self.values


@dataclass(frozen=True)
class Span:
    """A number from `low` to `high`, whole if both are."""

    low: Real
    high: Real
    step: Real | None = None
    log: bool = False

    def draw(self, trial, name: str):
        if isinstance(self.low, int):
            return trial.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    @property
    def ends(self) -> tuple:
        return self.low, self.high


Parameter = Values | Span


@dataclass(frozen=True)
class Space:
    networks: tuple[str, ...]
    network: Mapping[str, Parameter]
    training: Mapping[str, Parameter]

    def draw(self, trial) -> tuple[str, dict]:
        """A network in its text form, and training options, drawn by an Optuna trial."""
        template = self.networks[0]
        if len(self.networks) > 1:
            template = trial.suggest_categorical(NETWORK, self.networks)
        values = {name: self.network[name].draw(trial, name) for name in braces(template)}
        return template.format(**values), {name: each.draw(trial, name) for name, each in self.training.items()}

    def as_dict(self) -> dict:
        """Plain JSON values, by which two spaces are compared."""
        tables = {NETWORK: self.network, "training": self.training}
        return {
            "networks": list(self.networks),
            **{
                table: {
                    name: list(each.values) if isinstance(each, Values) else [each.low, each.high, each.step, each.log]
                    for name, each in parameters.items()
                }
                for table, parameters in tables.items()
            },
        }


def braces(template: str) -> list[str]:
    """The names in a template, each once."""
    return list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name is not None))


def _has_formats(template: str) -> bool:
    """Whether braces hold more than a name, such as a width, which could be of any length."""
    return any(form or conversion for _, _, form, conversion in Formatter().parse(template))


def default_space(input_shape: Shape) -> Space:
    """The package's own for inputs of this shape: vectors, time series or images."""
    kind = "vectors" if len(input_shape) == 1 else "series" if 1 in input_shape[:2] else "images"
    name = f"{kind}.toml"
    return _space((resources.files("signbit.trainer.tune") / name).read_text(), name)


def read_space(path: Path) -> Space:
    """The space of a TOML file; raises SignbitError that names what is wrong with it."""
    try:
        return _space(read_file(path, FILE_BYTES_MAX).decode(), str(path))
    except UnicodeDecodeError:
        raise SignbitError(f"--space {path}: is not text") from None


def _space(text: str, file: str) -> Space:
    try:
        values = tomllib.loads(text)
        return _checked(values)
    except SignbitError as error:
        raise SignbitError(f"--space {file}: {error}") from None
    except (ValueError, RecursionError) as error:
        # ValueError is Python's own for an integer of thousands of digits
        raise SignbitError(f"--space {file}: is not TOML: {error}") from None


def _checked(values: dict) -> Space:
    if odd := set(values) - TABLES:
        raise SignbitError(f"{sorted(odd)[0]!r} is unknown; there are {', '.join(sorted(TABLES))}")
    networks = values.get("networks")
    if not isinstance(networks, list) or not networks or not all(isinstance(text, str) for text in networks):
        raise SignbitError('needs networks = ["...", ...], templates of networks as a line of text')
    network, training = (_parameters(table, values.get(table, {})) for table in (NETWORK, "training"))
    for template in networks:
        _check_template(template, network)
    unused = set(network) - {name for template in networks for name in braces(template)}
    if unused:
        raise SignbitError(f"[network] {sorted(unused)[0]}: no template has {{{sorted(unused)[0]}}}")
    if twice := (set(training) & set(network)) | ({NETWORK} & (set(training) | set(network))):
        raise SignbitError(f"{sorted(twice)[0]!r} names two things; rename one in [network]")
    known = [field.name for field in fields(Settings) if field.name not in NOT_TRAINING]
    for name, parameter in training.items():
        if name not in known:
            raise SignbitError(f"[training] {name!r} can't be searched; there are {', '.join(known)}")
        for value in parameter.ends:
            Settings.checked({name: value})
    return Space(tuple(networks), network, training)


def _check_template(template: str, network: Mapping[str, Parameter]) -> None:
    """Raises SignbitError unless the template gives a network with the first value of each name."""
    try:
        names = braces(template)
        if _has_formats(template):
            raise SignbitError("braces hold a name of [network] and nothing else")
        if missing := [name for name in names if name not in network]:
            raise SignbitError(f"[network] has no {missing[0]!r}")
        text = template.format(**{name: network[name].ends[0] for name in names})
    except (ValueError, LookupError, AttributeError) as error:
        raise SignbitError(f"template {template!r}: {error}") from None
    parse(text)


def _parameters(table: str, values: object) -> dict[str, Parameter]:
    if not isinstance(values, dict):
        raise SignbitError(f"{table} must be a table, [{table}]")
    return {name: _parameter(f"[{table}] {name}", value) for name, value in values.items()}


def _parameter(where: str, value: object) -> Parameter:
    if isinstance(value, list) and value and all(isinstance(one, PLAIN) for one in value):
        return Values(tuple(value))
    if isinstance(value, dict) and {"from", "to"} <= set(value) <= SPAN_KEYS:
        span = Span(value["from"], value["to"], value.get("step"), value.get("log", False))
        numbers = [span.low, span.high, *([] if span.step is None else [span.step])]
        is_possible = (
            all(type(one) in (int, float) and abs(one) <= NUMBER_MAX for one in numbers)
            and span.low < span.high
            and (span.step is None or (0 < span.step <= span.high - span.low and not span.log))
            and (not span.log or span.low > 0)
            and isinstance(span.log, bool)
        )
        if is_possible:
            return _in_steps(span if all(isinstance(one, int) for one in numbers) else _real(span))
    raise SignbitError(
        f"{where} must be a list of values, or a range {{ from = 1, to = 9 }} with a step that fits into it, or "
        "log = true for numbers above 0"
    )


def _real(span: Span) -> Span:
    return Span(float(span.low), float(span.high), None if span.step is None else float(span.step), span.log)


def _in_steps(span: Span) -> Span:
    """The same numbers, with the last one as the end; Optuna does this, too, and warns."""
    if span.step is None:
        return span
    low, high, step = (Decimal(str(one)) for one in (span.low, span.high, span.step))
    return replace(span, high=type(span.low)(low + (high - low) // step * step))

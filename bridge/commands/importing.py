"""`import`: a model of an ONNX file."""

import argparse
import json
import re
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from signbit.bridge.calibrate import calibrated
from signbit.bridge.compare import Comparison, compare
from signbit.bridge.graph.reading import read
from signbit.bridge.importing import LAYOUTS, Imported, Options, import_model
from signbit.console import Column, console, print_table
from signbit.qmodel.command import Parser, note
from signbit.qmodel.data.dataset import Dataset
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import save
from signbit.qmodel.model import QuantizedModel, check_name
from signbit.qmodel.value import Shape, size_of

NAME_CHARACTERS = 31


def main(arguments: list[str], prog: str) -> None:
    options = _parser(prog).parse_args(arguments)
    name = options.name or _name_of(options.graph)
    check_name(name)
    labels = tuple(options.labels.split(",")) if options.labels else None
    data = load_dataset(options.data, options.data_dir) if options.data else None
    samples = load_dataset(options.calibrate, options.data_dir) if options.calibrate else None
    proto, sha256 = read(options.graph, options.external_data)
    wanted = Options(name, labels, options.input_unit, options.layout, options.allow_rounding, sha256)
    try:
        if samples is None:
            imported, ranges = import_model(proto, wanted), {}
        else:
            imported, ranges = calibrated(proto, wanted, samples.train.x)
        for each in (data, samples):
            _check_data(imported.model, each)
        found = compare(imported, (data or samples).test) if data or samples else None
    except SignbitError as error:
        raise SignbitError(f"{options.graph}: {error}") from None
    save(imported.model, options.out)
    for text in imported.notes:
        note(text)
    if options.json:
        print(json.dumps(_as_json(imported, ranges, found)))
    else:
        _print(imported, options.out, ranges, found)


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Make a model of an ONNX file from PyTorch, Brevitas, Larq or another framework.  The network must "
        "have one-bit or ternary weights and whole-number activations; what has no integer form is named.",
    )
    parser.add_argument("graph", metavar="MODEL.onnx", help="the network")
    parser.add_argument("-o", "--out", metavar="FILE", required=True, help="model file to write, model.npz for example")
    parser.add_argument("--name", help="the model's name (default: the ONNX file's)")
    parser.add_argument("--labels", metavar="A,B,...", help="the classes' names (default: 0,1,...)")
    parser.add_argument(
        "--input-unit",
        metavar="NUMBER",
        type=_unit,
        help="what the network reads for a byte of 1 (default: 1/255, or 1 where its input is bytes)",
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="axes of an input image of several channels where the first layer is dense; convolutions show them",
    )
    parser.add_argument("--allow-rounding", action="store_true", help="round means that the network does not round")
    parser.add_argument("--external-data", action="store_true", help="read weights from files beside MODEL.onnx")
    data = parser.add_argument_group("data", "digits, mnist, or a path to own data (docs/DATA.md)")
    data.add_argument("--data", metavar="DATA", help="compare the model with the network on this data set's test part")
    data.add_argument(
        "--calibrate", metavar="DATA", help="give float ReLU activations 7 bits, with ranges from the training part"
    )
    data.add_argument("--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _unit(text: str) -> float:
    """A number such as 1, 0.25 or 1/255."""
    if not re.fullmatch(r"[0-9.]{1,20}(e-?[0-9]{1,2})?(/[0-9]{1,9})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 such as 1/255")
    try:
        value = float(Fraction(text.partition("/")[0]) / int(text.partition("/")[2] or 1))
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 such as 1/255")
    return value


def _name_of(path: str) -> str:
    """A model's name from a file's."""
    letters = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(path).stem).lstrip("0123456789_-")[:NAME_CHARACTERS]
    return letters or "imported"


def _check_data(model: QuantizedModel, data: Dataset | None) -> None:
    if data is None:
        return
    sides, data_sides = _sides(model.input_shape), _sides(data.input_shape)
    # a vector may be a gray image, row by row; with several channels nobody knows the order
    is_flat_image = len(sides) == 1 and len(data_sides) == 2 and sides[0] == size_of(data.input_shape)
    if sides != data_sides and not is_flat_image:
        raise SignbitError(
            f"the network takes {model.input_shape}, but the inputs of {data.name} are {data.input_shape}"
        )
    if len(data.labels) > model.output_size:
        raise SignbitError(f"the network has {model.output_size} classes, but {data.name} has {len(data.labels)}")


def _sides(shape: Shape) -> list[int]:
    """The sides of more than 1; others change no order."""
    return [side for side in shape if side > 1]


def _weight_bytes(layer) -> int:
    return sum(array.nbytes for array in layer.arrays().values())


def _as_json(imported: Imported, ranges: dict[str, float], found: Comparison | None) -> dict:
    model, certificate = imported.model, imported.certificate
    layers = [
        {
            "kind": layer.kind,
            "output_shape": list(value.shape),
            "bytes": _weight_bytes(layer),
            "accumulators": each.possible if each else 0,
            "rounded_differently": each.different if each else 0,
        }
        for layer, value, each in zip(model.layers, model.values[1:], imported.certificates, strict=True)
    ]
    return {
        "name": model.name,
        "hash": model.hash,
        "input_shape": list(model.input_shape),
        "layers": layers,
        "accumulators": certificate.possible,
        "rounded_differently": certificate.different,
        "ranges": ranges,
        "notes": list(imported.notes),
        "comparison": asdict(found) if found else None,
    }


def _print(imported: Imported, path: str, ranges: dict[str, float], found: Comparison | None) -> None:
    model, certificate, screen = imported.model, imported.certificate, console()
    columns = (
        *(Column("layer", left=True), Column("output"), Column("activation", 1, left=True), Column("bytes")),
        *(Column("accumulators", 2), Column("rounded differently")),
    )
    rows = []
    for layer, value, each in zip(model.layers, model.values[1:], imported.certificates, strict=True):
        counts = (f"{each.possible:,}", f"{each.different:,}") if each else ("", "")
        shape = "x".join(map(str, value.shape))
        rows.append((layer.kind, shape, value.encoding.value, f"{_weight_bytes(layer):,}", *counts))
    print_table(screen, columns, rows)

    def say(text: str) -> None:
        screen.print(text, soft_wrap=True)

    if certificate.possible:
        share = certificate.different / certificate.possible
        say(
            f"certificate  {certificate.different:,} of {certificate.possible:,} accumulators that can occur get "
            f"another level than in the network ({share:.4%})"
        )
    else:
        say("certificate  nothing was rounded: the layers are the file's own")
    for name, high in ranges.items():
        say(f"calibrated   {name}: 0 to {high:.4g} in 7 bits")
    if found:
        say(f"labels       {found.labels_equal:,} of {found.inputs:,} equal, the network run by {found.library}")
        graph, ours = (100 * count / found.inputs for count in (found.graph_correct, found.model_correct))
        say(f"accuracy     {graph:.2f} % in the network, {ours:.2f} % in integers")
        say(
            f"logits       differ by at most {found.difference_max:.3g}; their standard deviation is {found.spread:.3g}"
        )
    say(f"{path}: {model.name}, hash {model.hash[:16]}")

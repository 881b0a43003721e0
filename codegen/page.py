"""A model as one HTML file that runs its C in a browser: draw, load, paste or speak an input, see every value.

The page asks nothing of any server.  Its content security policy allows the scripts and the style whose hashes it
names, WebAssembly, and no request.
"""

import base64
import zlib

import numpy as np

from signbit.codegen.html import environment, first_weights, hash_source, json_text, source
from signbit.codegen.inputs import described
from signbit.codegen.plan import Plan
from signbit.codegen.report import shape_text
from signbit.codegen.wasm import build
from signbit.qmodel.data.named import DIGIT_LABELS
from signbit.qmodel.input_quantization import InputQuantization, Thermometer
from signbit.qmodel.integer import INT16_MAX, INT16_MIN
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.value import Encoding, Value

PICTURE, VALUES, RECORDING, SOUND = "picture", "values", "recording", "sound"
PARTS = {
    PICTURE: ("picture",),
    VALUES: ("csv", "values"),
    RECORDING: ("csv", "plot", "recording"),
    SOUND: ("plot", "sound"),
}
"""Scripts that take an input of each kind, and their styles."""
TITLES = {
    PICTURE: "Draw or load a picture",
    VALUES: "Set or paste the values",
    RECORDING: "Paste or load a recording",
    SOUND: "Listen, or load a sound",
}
SLIDERS_MAX = 64
SOUND_HZ_MIN = 4000
"""Samples a second from which they are taken for sound."""
DIGITS = "digits"


def live_page(model: QuantizedModel, plan: Plan) -> str:
    """The page; raises SignbitError where nothing can be compiled to WebAssembly."""
    module = build(plan)
    kind = input_kind(model)
    style = source(".css", "look", "page", *PARTS[kind])
    scripts = source(".js", "model"), source(".js", "answer", *PARTS[kind], "start")
    return (
        environment()
        .get_template("page/page.html.j2")
        .render(
            plan=plan,
            title=TITLES[kind],
            kind=kind,
            style=style,
            style_hash=hash_source(style),
            scripts=scripts,
            script_hashes=[hash_source(script) for script in scripts],
            module_bytes=len(module),
            flash_bytes=plan.data_bytes + plan.table_bytes,
            facts=json_text(facts(model, plan) | {"module": _base64(zlib.compress(module, 9))}),
        )
    )


def input_kind(model: QuantizedModel) -> str:
    """How a person gives an input."""
    shape = model.sensor_shape or model.input_shape
    if model.front_end is not None and model.front_end.rate_hz >= SOUND_HZ_MIN and model.front_end.channels == 1:
        return SOUND
    if len(shape) == 3 and shape[1] == 1:
        return RECORDING
    return PICTURE if len(shape) == 3 and shape[2] in (1, 3) and model.sensor_shape is None else VALUES


def facts(model: QuantizedModel, plan: Plan) -> dict:
    """What the scripts must know besides the code, as plain JSON values."""
    kind = input_kind(model)
    weights = first_weights(plan.layers[0])
    shape = "×".join(map(str, model.input_shape))
    return {
        "labels": model.labels,
        "shape": model.sensor_shape or model.input_shape,
        "input_size": plan.input_size,
        "sensor_size": plan.sensor_size,
        "rejects": plan.reject is not None,
        "input": None if kind == PICTURE else _value(f"input, {shape}", model.input_value),
        "layers": [_value(f"{layer.index} {layer.title}, {shape_text(layer)}", layer.output) for layer in plan.layers],
        "weights": None if weights is None else _packed(weights),
        **({"centring": centring(model)} if kind == PICTURE else {}),
        **({"channels": channels(model)} if kind in (VALUES, RECORDING) else {}),
        **({"rate_hz": model.front_end.rate_hz} if kind == SOUND else {}),
    }


def _value(title: str, value: Value) -> dict:
    """How an input or a layer's output lies in the module's memory."""
    bits = {"bits": True} if value.encoding is Encoding.BIT else {}
    return {"title": title, "shape": value.shape, "bytes": value.size_bytes, **bits}


def _packed(weights: np.ndarray) -> dict:
    """Pictures of weights -1, 0 and +1, (neurons, height, width), as bytes in base64, four weights in each."""
    neurons, height, width = weights.shape
    digits = np.resize(weights.ravel() + 1, -(-weights.size // 4) * 4).astype(np.uint8).reshape(-1, 4)
    packed = (digits << np.arange(0, 8, 2, dtype=np.uint8)).sum(axis=1, dtype=np.uint8)
    return {"neurons": neurons, "height": height, "width": width, "packed": _base64(packed.tobytes())}


def centring(model: QuantizedModel) -> str | None:
    """How handwritten digits lie in the pictures of the data that the model was trained on.

    `mass`: in a box of 20/28 of the side, the centre of mass in the middle, as in MNIST; `box`: from edge to edge.
    """
    if model.labels != DIGIT_LABELS or model.input_shape[2] != 1:
        return None
    data = model.provenance.get("data")
    return "box" if isinstance(data, dict) and data.get("name") == DIGITS else "mass"


def channels(model: QuantizedModel) -> list[dict]:
    """Name of each value, what a count is worth, and where its slider ends, if it has one."""
    count = (model.sensor_shape or model.input_shape)[-1]
    known = described(model, count)
    found = [{"name": channel.name, "worth": channel.worth} for channel in known] or [
        {"name": f"value {index + 1}", "worth": 1} for index in range(count)
    ]
    is_row = model.front_end is None and len(model.input_shape) == 1
    if is_row and count <= SLIDERS_MAX:
        quantization = model.input_quantization
        ends = [(0, 255)] * count if quantization is None else slider_ends(quantization)
        return [channel | {"ends": end} for channel, end in zip(found, ends, strict=True)]
    return found


def slider_ends(quantization: InputQuantization) -> list[tuple[int, int]]:
    """Counts (low, high) of each channel at and beyond which the inputs stay as they are; (0, 1) if they always do."""
    counts = np.arange(INT16_MIN, INT16_MAX + 1, dtype=np.int16)
    inputs = quantization.run(np.repeat(counts[:, None], quantization.channels, axis=1))
    changes = inputs[1:] != inputs[:-1]
    bits = quantization.counts if isinstance(quantization, Thermometer) else np.ones(quantization.channels, int)
    parts = np.split(changes, np.cumsum(bits)[:-1], axis=1)
    places = [np.flatnonzero(part.any(axis=1)) for part in parts]
    return [(int(counts[at[0]]), int(counts[at[-1] + 1])) if len(at) else (0, 1) for at in places]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

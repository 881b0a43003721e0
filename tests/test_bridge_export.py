"""Export to ONNX: the same integers in onnx's reference and in onnxruntime, and the same model when imported again."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is missing: pip install onnx")

from hypothesis import given, settings
from hypothesis import strategies as st

from signbit.__main__ import COMMANDS
from signbit.bridge import export_onnx, export_qonnx
from signbit.bridge.graph.library import ReferenceEvaluator, helper
from signbit.bridge.graph.reading import checked, parse
from signbit.bridge.importing import Options, import_model
from signbit.bridge.running import Runner
from signbit.qmodel.command import run_command, run_named
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from tools.networks.random import FRONT_ENDS, front_end_model, random_network
from tools.prove.onnx import network

SEEDS = st.integers(0, 2**32 - 1)
MODELS = ("digits-mlp", "digits-conv")


@settings(max_examples=20)
@given(SEEDS)
def test_a_qonnx_network_gives_the_same_real_logits(seed):
    model = random_network(seed)
    imported = import_model(checked(parse(export_qonnx.export(model).SerializeToString())), Options())
    assert imported.model.hash == model.hash
    x = np.random.default_rng(seed).integers(0, 256, (4, model.input_size), dtype=np.uint8)
    real = np.concatenate([outputs[0] for outputs in Runner(imported, [imported.logits]).outputs(x)])
    wanted = model.run(x) * 2.0**-model.logit_shift
    assert np.allclose(real, wanted, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("export", [export_onnx.export, export_qonnx.export])
def test_a_front_end_is_refused_and_not_left_out(export):
    with pytest.raises(SignbitError, match="no form for a front end"):
        export(front_end_model(0, *FRONT_ENDS[0]))


def test_qonnx_has_no_form_for_sensor_counts():
    with pytest.raises(SignbitError, match="no form for a model's quantization of sensor counts; export dialect onnx"):
        export_qonnx.export(network(2))


@pytest.mark.parametrize("name", MODELS)
def test_a_qonnx_graph_alone_is_enough(repository, name, digits):
    """Without the model in its metadata, thresholds become lines again."""
    model = load(repository / "models" / f"{name}.npz")
    proto = export_qonnx.export(model)
    del proto.metadata_props[:]
    imported = import_model(checked(proto), Options(input_unit=1.0, layout="NHWC"))
    assert imported.certificate.different <= imported.certificate.possible * 1e-4
    assert (imported.model.predict(digits.test.x) == model.predict(digits.test.x)).mean() > 0.99


def test_a_qonnx_graph_that_was_changed_is_not_taken_for_its_model(repository):
    model = load(repository / "models" / "digits-mlp.npz")
    proto = export_qonnx.export(model)
    weights = next(each for each in proto.graph.initializer if each.name == "layer0_weights")
    values = np.frombuffer(weights.raw_data, np.float32).copy()
    values[0] *= -1
    weights.raw_data = values.tobytes()
    changed = import_model(checked(proto), Options(input_unit=1.0, layout="NHWC")).model
    assert changed.hash != model.hash and changed.layers[0].weights[0, 0] == -model.layers[0].weights[0, 0]


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_is_one_node_of_its_kind(repository, name):
    model = load(repository / "models" / f"{name}.npz")
    proto = export_onnx.export(model)
    kinds = [node.op_type for node in proto.graph.node if node.domain]
    assert len(kinds) == len(model.layers) and kinds[-1] == "DenseLogits"
    properties = {each.key: each.value for each in proto.metadata_props}
    assert properties["signbit.hash"] == model.hash
    assert properties["signbit.logit_shift"] == str(model.logit_shift)
    imported = import_model(checked(proto), Options()).model
    assert (imported.labels, imported.logit_shift, imported.hash) == (model.labels, model.logit_shift, model.hash)


def test_a_layer_whose_function_was_changed_is_refused(repository):
    proto = export_onnx.export(load(repository / "models" / "digits-mlp.npz"))
    for function in proto.functions:
        for node in function.node:
            if node.op_type == "Clip":
                node.op_type = "Max"
    with pytest.raises(SignbitError, match="is a layer of another version of signbit; export the model again"):
        import_model(checked(proto), Options())


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda node: node.attribute.remove(attribute(node, "shift")), "is not valid ONNX|shift"),
        (lambda node: setattr(attribute(node, "shift"), "i", 31), "shift is 31, but must be 1 to 30"),
        (lambda node: setattr(attribute(node, "high"), "i", 0), "must be 1 to 255"),
        (lambda node: node.input.__setitem__(1, node.input[2]), "does not hold what a layer of its kind must"),
        (lambda node: node.input.pop(), "does not hold what a layer of its kind must"),
    ],
)
def test_a_damaged_layer_is_refused(repository, change, text):
    proto = export_onnx.export(load(repository / "models" / "digits-mlp.npz"))
    node = next(node for node in proto.graph.node if node.op_type == "DenseRequantize")
    change(node)
    with pytest.raises(SignbitError, match=text):
        import_model(checked(proto), Options())


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("logit_shift", "99", "do not say what a logit is worth"),
        ("logit_shift", None, "do not say what a logit is worth"),
        ("labels", "[1]", "signbit.labels in its metadata is no list of str"),
        ("labels", "[" * 100_000, "signbit.labels in its metadata is no list of str"),
        ("margins", "[-1]", "margins in its metadata .* do not fit into 32 bits"),
        ("margins", "{}", "signbit.margins in its metadata is no list of int"),
    ],
)
def test_damaged_metadata_are_refused(repository, name, value, text):
    proto = export_onnx.export(load(repository / "models" / "digits-mlp.npz"))
    for each in list(proto.metadata_props):
        if each.key == f"signbit.{name}":
            proto.metadata_props.remove(each)
    if value is not None:
        proto.metadata_props.add(key=f"signbit.{name}", value=value)
    with pytest.raises(SignbitError, match=text):
        import_model(checked(proto), Options())


def test_what_others_put_between_layers_is_refused(repository):
    proto = export_onnx.export(load(repository / "models" / "digits-mlp.npz"))
    first, second = proto.graph.node[-2:]
    proto.graph.node.insert(len(proto.graph.node) - 1, helper.make_node("Neg", [first.output[0]], ["between"]))
    second.input[0] = "between"
    with pytest.raises(SignbitError, match=r"reads something between layers that this signbit did not write"):
        import_model(checked(proto), Options())


def attribute(node, name):
    return next(each for each in node.attribute if each.name == name)


def test_the_command_writes_the_same_bytes_each_time(tmp_path, capsys):
    for dialect in ("onnx", "qonnx"):
        contents = []
        for number in range(2):
            path = tmp_path / f"{number}.onnx"
            words = ["export-onnx", "digits-mlp", "-o", str(path), "--dialect", dialect]
            assert run_command(lambda arguments: run_named(COMMANDS, arguments, "signbit"), words) == 0
            assert "nodes" in capsys.readouterr().out
            contents.append(path.read_bytes())
        assert contents[0] == contents[1]


def test_the_reference_and_the_model_agree_on_real_digits(repository, digits):
    model = load(repository / "models" / "digits-conv.npz")
    some = digits.test.x[:60]
    x = some.reshape(-1, *model.input_shape)
    proto = export_onnx.export(model)
    assert np.array_equal(ReferenceEvaluator(proto).run(None, {"input": x})[0], model.run(some))

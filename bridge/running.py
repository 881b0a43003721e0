"""Runs the graph itself, with onnxruntime where that is installed and can, else with onnx's reference."""

from collections.abc import Iterator, Sequence

import numpy as np

from signbit.bridge.constants import QONNX_OPERATORS
from signbit.bridge.graph.library import ModelProto, ReferenceEvaluator, TensorProto, helper
from signbit.bridge.graph.reading import QONNX_DOMAIN, QONNX_DOMAINS
from signbit.bridge.importing import Imported
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import shown

BATCH = 250
"""Inputs at once in graphs whose batch is open."""


class Runner:
    """`library` is what runs the graph; `is_fast` says whether a whole data set may be asked of it."""

    def __init__(self, imported: Imported, outputs: Sequence[str]):
        self._imported = imported
        proto = _with_outputs(imported.proto, outputs)
        source = proto.graph.input
        names = {each.name for each in proto.graph.initializer}
        self._input = next(each for each in source if each.name not in names)
        batch = self._input.type.tensor_type.shape.dim[0]
        self._batch = BATCH if batch.dim_param or not batch.dim_value else 1
        if self._input.type.tensor_type.elem_type == TensorProto.INT16:
            raise SignbitError("the network takes a sensor's counts, and data sets hold bytes; leave out --data")
        uses_qonnx = any(node.domain in QONNX_DOMAINS for node in proto.graph.node)
        session = None if uses_qonnx else _session(proto)
        self.is_fast = session is not None
        self.library = "onnxruntime" if self.is_fast else "onnx.reference"
        self._run = session or ReferenceEvaluator(_one_domain(proto), new_ops=QONNX_OPERATORS)

    def outputs(self, inputs: np.ndarray) -> Iterator[list[np.ndarray]]:
        """The outputs for batches of the model's `inputs`, uint8 (count, input_size)."""
        kind = self._input.type.tensor_type
        shape = [side.dim_value for side in kind.shape.dim][1:]
        places, unit = self._imported.input_places, self._imported.unit
        for start in range(0, len(inputs), self._batch):
            batch = inputs[start : start + self._batch]
            graph = np.empty_like(batch)
            graph[:, places] = batch
            graph = graph.reshape(len(batch), *shape)
            if kind.elem_type == TensorProto.FLOAT:
                graph = graph.astype(np.float32) * np.float32(unit)
            try:
                yield self._run.run(None, {self._input.name: graph})
            except Exception as error:
                # whatever the library raises for a graph that it can't run
                text = shown(" ".join(str(error).split()), 200)
                raise SignbitError(f"{self.library} can't run the graph: {text}") from None


def _session(proto: ModelProto):
    try:
        import onnxruntime
    except ImportError:
        return None
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options)
    except Exception:
        # a graph newer than this onnxruntime, or with operators that it lacks; the reference runs it
        return None


def _with_outputs(proto: ModelProto, names: Sequence[str]) -> ModelProto:
    """A copy of the graph that gives the tensors `names`."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    known = {each.name: each for each in copy.graph.output}
    types = {name: known.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names}
    del copy.graph.output[:]
    copy.graph.output.extend(types[name] for name in names)
    return copy


def _one_domain(proto: ModelProto) -> ModelProto:
    """QONNX's operators under one name, changed in place."""
    for node in proto.graph.node:
        if node.domain in QONNX_DOMAINS:
            node.domain = QONNX_DOMAIN
    if QONNX_DOMAIN not in {each.domain for each in proto.opset_import}:
        proto.opset_import.append(helper.make_opsetid(QONNX_DOMAIN, 1))
    return proto

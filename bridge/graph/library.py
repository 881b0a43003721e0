"""The library onnx, which the extra of that name brings; every module of the bridge takes it from here."""

from signbit.qmodel.errors import SignbitError

try:
    import onnx
    import onnx.inliner
    from google.protobuf.message import DecodeError
    from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun
except ImportError:
    raise SignbitError("this needs onnx: pip install 'signbit[onnx]'") from None

__all__ = [
    "AttributeProto",
    "DecodeError",
    "FunctionProto",
    "ModelProto",
    "NodeProto",
    "OpRun",
    "ReferenceEvaluator",
    "TensorProto",
    "helper",
    "numpy_helper",
    "onnx",
]

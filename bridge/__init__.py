"""Networks of other frameworks: import from ONNX, export to ONNX.

signbit.bridge.importing     an ONNX graph as a QuantizedModel, with a certificate of what was rounded
signbit.bridge.export_onnx   a QuantizedModel as an ONNX graph of standard operators
signbit.bridge.export_qonnx  the same in QONNX's dialect
signbit.bridge.torch         layers to train in PyTorch, and `convert`
"""

from signbit.qmodel.command import Command

COMMANDS = {
    "import": Command("signbit.bridge.commands.importing:main", "make a model of an ONNX file from another framework"),
    "export-onnx": Command("signbit.bridge.commands.exporting:main", "write a model as an ONNX file"),
}

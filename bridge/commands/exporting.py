"""`export-onnx`: a model as an ONNX file."""

from signbit.bridge import export_onnx, export_qonnx
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.counted import counted
from signbit.qmodel.file import load
from signbit.qmodel.shipped import add_model

DIALECTS = {"onnx": export_onnx.export, "qonnx": export_qonnx.export}


def main(arguments: list[str], prog: str) -> None:
    parser = Parser(
        prog=prog,
        description="Write a model as an ONNX file: to look at in a viewer, to run anywhere, to import again.",
    )
    add_model(parser)
    parser.add_argument("-o", "--out", metavar="FILE", required=True, help="file to write, model.onnx for example")
    parser.add_argument(
        "--dialect",
        choices=tuple(DIALECTS),
        default="onnx",
        help="onnx: standard operators, the same integers everywhere; qonnx: what FINN reads (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    proto = DIALECTS[options.dialect](load(options.model))
    data = proto.SerializeToString(deterministic=True)
    write_whole(options.out, data)
    print(f"{options.out}: {counted(len(proto.graph.node), 'node')}, {len(data):,} bytes")

"""`page`: the model's C in a browser, as one HTML file."""

from signbit.codegen.page import live_page
from signbit.codegen.plan import make_plan
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.file import load
from signbit.qmodel.shipped import add_model


def main(arguments: list[str], prog: str) -> None:
    parser = Parser(
        prog=prog,
        description="Write one HTML file that runs a model's C as WebAssembly: draw or load a picture, set or paste "
        "values, load a recording or a sound, listen, and see every layer.  The file needs no network.  To make it "
        "needs clang and lld (apt install clang lld), or zig (pip install 'signbit[cross]').",
    )
    add_model(parser)
    parser.add_argument("-o", "--out", metavar="FILE", required=True, help="page to write, such as model.html")
    options = parser.parse_args(arguments)
    model = load(options.model)
    text = live_page(model, make_plan(model)).encode()
    write_whole(options.out, text)
    print(f"{options.out}: {len(text):,} bytes; open it in a browser")

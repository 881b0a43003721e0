"""Finish the files here after a new making: `python -m tests.golden.onnx.hashes`.

Takes out what an exporter says of its maker's computer, and writes hashes.json: what importing each gives.
"""

import json
from pathlib import Path

import onnx

from signbit.bridge.importing import Options, import_file

HERE = Path(__file__).parent
NAMES = sorted(path.name for path in HERE.glob("*.onnx"))


def forget_places(path: Path) -> None:
    """Remove the stack traces that exporters keep of each node."""
    model = onnx.load(path, load_external_data=False)
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        kept = [entry for entry in node.metadata_props if not entry.key.endswith("stack_trace")]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.ClearField("doc_string")
    path.write_bytes(model.SerializeToString())


def main() -> None:
    for name in NAMES:
        forget_places(HERE / name)
    hashes = {name: import_file(HERE / name, Options(), external_data=True).model.hash for name in NAMES}
    (HERE / "hashes.json").write_text(json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Write hashes.json: what importing each file here gives.  `python -m tests.golden.onnx.hashes`, after a new making."""

import json
from pathlib import Path

from signbit.bridge.importing import Options, import_file

HERE = Path(__file__).parent
NAMES = sorted(path.name for path in HERE.glob("*.onnx"))


def main() -> None:
    hashes = {name: import_file(HERE / name, Options(), external_data=True).model.hash for name in NAMES}
    (HERE / "hashes.json").write_text(json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    main()

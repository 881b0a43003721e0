"""`python -m tools bridge_torch`: train the networks of docs/BRIDGE.md in PyTorch, by the page's own program.

Writes what the program prints into the page.  Needs torch and MNIST.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import ROOT, replace_block

DOCUMENT = ROOT / "docs" / "BRIDGE.md"
BLOCK = "bridge-torch"
NETWORKS = ("mlp", "residual", "signal")


def program() -> str:
    """The page's program."""
    (text,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    return text


def run(name: str, folder: Path) -> str:
    """What the program prints for a network; it writes the model into `folder`."""
    (folder / "train.py").write_text(program())
    command = [sys.executable, "train.py", name]
    found = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if found.returncode:
        raise SignbitError(f"train.py {name}: {found.stderr.strip().splitlines()[-1]}")
    return f"$ python train.py {name}\n{found.stdout}"


def main(arguments: list[str]) -> int:
    """Train all networks, write the block."""
    parser = Parser(prog="python -m tools bridge_torch", description=__doc__.partition(": ")[2].partition("\n\n")[0])
    parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        texts = [run(name, Path(folder)) for name in NETWORKS]
    text = "```text\n" + "".join(texts) + "```"
    print(text)
    replace_block(BLOCK, f"{text}\n\nWritten by `python -m tools bridge_torch`.", DOCUMENT)
    return 0

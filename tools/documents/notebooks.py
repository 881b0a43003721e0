"""`python -m tools notebooks`: documents as Jupyter notebooks, executed, in build/notebooks.

Each block of Python is a cell, and what the document says that it prints is its output until it is executed.  A
notebook is whole by itself: pictures are in it, and links lead to the project's repository.  The first cell, which is
not executed here, installs what the others need.
"""

import base64
import importlib.util
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from signbit.console import console
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import ROOT
from tools.documents.markdown import rewritten, source_url

FOLDER = ROOT / "build" / "notebooks"
LIBRARIES = ("jupytext", "nbclient", "ipykernel")
CELL_SECONDS_MAX = 600
NOT_EXECUTED = "skip-execution"
PRINTED = re.compile(r"\A```text\n(.*?)```\n*", re.DOTALL)


@dataclass(frozen=True)
class Notebook:
    """A document of docs/, and the words after `pip install` for what its cells need."""

    name: str
    needs: str

    @property
    def document(self) -> str:
        return f"docs/{self.name}.md"


NOTEBOOKS = {
    each.name: each
    for each in (
        Notebook("QUICKSTART", '"signbit[cross]"'),
        Notebook("TUTORIAL", "signbit"),
        Notebook("ESTIMATOR", '"signbit[sklearn]" pandas'),
    )
}


def main(arguments: list[str]) -> int:
    parser = Parser(prog="python -m tools notebooks", description=__doc__.partition(": ")[2])
    parser.add_argument("--only", metavar="NAME", choices=NOTEBOOKS, help=f"one of {', '.join(NOTEBOOKS)}")
    parser.add_argument("--no-execute", action="store_true", help="write them with the outputs that the documents give")
    options = parser.parse_args(arguments)
    if missing():
        raise SignbitError(missing())
    FOLDER.mkdir(parents=True, exist_ok=True)
    for notebook in NOTEBOOKS.values() if options.only is None else [NOTEBOOKS[options.only]]:
        content = made(notebook)
        if not options.no_execute:
            with console(stderr=True).status(f"executing {notebook.name}"):
                execute(notebook, content)
        path = FOLDER / f"{notebook.name}.ipynb"
        write_whole(path, text(content).encode())
        cells = sum(cell.cell_type == "code" for cell in content.cells) - 1
        done = "not executed" if options.no_execute else "executed"
        print(f"{os.path.relpath(path, ROOT)}: {cells} cells of Python, {done}")
    return EXIT_OK


def missing() -> str | None:
    """Why no notebook can be written here; None if one can."""
    lacking = [name for name in LIBRARIES if not importlib.util.find_spec(name)]
    return f"notebooks need {', '.join(lacking)}: pip install 'signbit[notebook]'" if lacking else None


def text(content) -> str:
    import nbformat

    return nbformat.writes(content) + "\n"


def made(notebook: Notebook):
    """The notebook, not executed, as nbformat's node; the same each time."""
    import jupytext
    from nbformat.v4 import new_code_cell, new_output

    pictures = {}

    def link(where: str, label: str) -> str:
        if not label.startswith("!"):
            return source_url(where)
        name = Path(where).name
        pictures[name] = base64.b64encode((ROOT / where).read_bytes()).decode()
        return f"attachment:{name}"

    content = jupytext.reads(rewritten(notebook.document, link), fmt="md")
    for before, cell in zip(content.cells, content.cells[1:], strict=False):
        printed = PRINTED.match(cell.source) if before.cell_type == "code" else None
        if printed:
            before.outputs = [new_output("stream", name="stdout", text=printed[1])]
            cell.source = cell.source[printed.end() :]
    install = new_code_cell(f"%pip install {notebook.needs}", metadata={"tags": [NOT_EXECUTED]})
    content.cells = [install, *(cell for cell in content.cells if cell.source)]
    for number, cell in enumerate(content.cells):
        cell.id = f"cell-{number}"
        shown = {name: {"image/png": data} for name, data in pictures.items() if f"(attachment:{name})" in cell.source}
        if shown:
            cell.attachments = shown
    content.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return content


def execute(notebook: Notebook, content) -> None:
    """Run the cells in order in a new kernel and an empty folder; raises SignbitError that says what failed."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="signbit-") as folder:
        # sockets in the folder, since other users of this computer could reach a port
        sockets = {"transport": "ipc", "ip": f"{folder}/socket"} if os.name == "posix" else {}
        client = NotebookClient(
            content,
            timeout=CELL_SECONDS_MAX,
            startup_timeout=CELL_SECONDS_MAX,
            record_timing=False,
            skip_cells_with_tag=NOT_EXECUTED,
            resources={"metadata": {"path": folder}},
            config=Config(KernelManager=sockets),
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            said = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
            raise SignbitError(f"{notebook.document}: a cell failed: {said}") from None

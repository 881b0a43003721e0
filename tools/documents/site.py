"""`python -m tools site`: the documents as a site with live models on it, in build/site.

The pages are README.md, CHANGELOG.md and the documents that mkdocs.yml names, at the same paths as in the project, so
that links between them stay as they are; a link into the code leads to the project's repository.  Formulas become
MathML.  No page asks anything of another server.  Zensical builds them; then every link is followed.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from signbit.codegen import wasm
from signbit.codegen.page import live_page
from signbit.codegen.plan import make_plan
from signbit.qmodel.atomic import write_folder
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.model import QuantizedModel
from signbit.qmodel.shipped import model_path
from tools.documents.blocks import ROOT
from tools.documents.links import dead_links
from tools.documents.markdown import rewritten, source_url

FOLDER = ROOT / "build" / "site"
CONFIG = Path(__file__).with_name("mkdocs.yml")
STYLE = Path(__file__).with_name("site.css")
LIBRARIES = ("zensical", "latex2mathml", "sklearn", "pandas")
LIVE = "LIVE.md"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
LAST_LINES = 6
"""How many of Zensical's own lines are shown when it fails."""


@dataclass(frozen=True)
class Live:
    """A model of the live page; `height_px` shows its input and its answer on a desk's screen."""

    name: str
    title: str
    what: str
    height_px: int


LIVE_MODELS = (
    Live("mnist-4k", "A digit that you draw", "Draw with mouse, finger or keys.", 1000),
    Live("iris", "A table with sliders", "Four measurements of a flower, and which iris it is.", 720),
    Live("commands-4k", "A word that you say", "Let it listen, and say *start*, *left* or another of its words.", 920),
)
INTRODUCTION = """# Live models

Below run three models as they run on a microcontroller: `signbit page` compiles the C that `signbit export` writes to
WebAssembly. Nothing that you draw or say leaves your browser. [How such a page is made](docs/PAGE.md).
"""


def main(arguments: list[str]) -> int:
    Parser(prog="python -m tools site", description=__doc__.partition(": ")[2]).parse_args(arguments)
    files = build()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(exist_ok=True)
    write_folder(FOLDER, files)
    pages = sum(name.endswith(".html") for name in files)
    print(f"{FOLDER.relative_to(ROOT)}: {pages} pages, no dead link")
    print(f"shown, and searched, with: python -m http.server --directory {FOLDER.relative_to(ROOT)}")
    return EXIT_OK


def missing() -> str | None:
    """Why no site can be built here; None if it can."""
    lacking = [name for name in LIBRARIES if not importlib.util.find_spec(name)]
    return f"the site needs {', '.join(lacking)}: pip install 'signbit[site]'" if lacking else wasm.missing()


def documents() -> list[str]:
    """The pages that are documents of the project, as paths in it."""
    return [name for name in re.findall(r"[\w/]+\.md", CONFIG.read_text()) if name != LIVE]


def build() -> dict[str, bytes]:
    """The site's files by their paths; raises SignbitError where something is missing, or a link leads nowhere."""
    if missing():
        raise SignbitError(missing())
    with tempfile.TemporaryDirectory(prefix="signbit-") as name:
        folder = Path(name)
        write_folder(folder / "pages", pages())
        shutil.copy(CONFIG, folder)
        _run_zensical(folder)
        site = folder / "site"
        # its links begin at the server's root, where the site need not be
        (site / "404.html").unlink(missing_ok=True)
        if dead := dead_links(site):
            raise SignbitError(f"links that lead nowhere: {'; '.join(dead)}")
        return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def pages() -> dict[str, bytes]:
    """What Zensical reads: the documents, their pictures and the live models, by their paths on the site."""
    own, files = documents(), {}

    def link(where: str, label: str) -> str:
        is_picture = label.startswith("!")
        if is_picture:
            files[where] = (ROOT / where).read_bytes()
        return os.path.relpath(where, Path(document).parent) if is_picture or where in own else source_url(where)

    for document in own:
        files[document] = rewritten(document, link, mathml).encode()
    for live in LIVE_MODELS:
        model = iris() if live.name == "iris" else load(model_path(live.name))
        files[f"live/{live.name}.html"] = live_page(model, make_plan(model)).encode()
    shown = INTRODUCTION + "".join(map(_section, LIVE_MODELS))
    return files | {LIVE: shown.encode(), STYLE.name: STYLE.read_bytes()}


def mathml(latex: str, is_block: bool) -> str:
    """A formula as MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    text = convert(latex, display="block" if is_block else "inline")
    # in a span, since <math> at the beginning of a line would end the paragraph
    return f'\n\n<p class="formula" tabindex="0">{text}</p>\n\n' if is_block else f"<span>{text}</span>"


def iris() -> QuantizedModel:
    """A small model of a table, which takes a second to train."""
    from sklearn.datasets import load_iris

    from signbit.trainer.estimator import BinaryConnectClassifier

    flowers = load_iris(as_frame=True)
    classifier = BinaryConnectClassifier(hidden=(16,), lsb=0.1, name="iris")
    return classifier.fit(flowers.data, flowers.target_names[flowers.target]).model_


def _section(live: Live) -> str:
    page = f"live/{live.name}.html"
    return f"""
## {live.title}

{live.what} [On a page of its own]({page}).

<iframe src="{page}" title="{live.title}" height="{live.height_px}" loading="lazy" allow="microphone"></iframe>
"""


def _run_zensical(folder: Path) -> None:
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / CONFIG.name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = ANSI.sub("", done.stdout + done.stderr).strip().splitlines()
        raise SignbitError(f"Zensical could not build the site: {' / '.join(said[-LAST_LINES:])}")

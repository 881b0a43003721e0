"""`python -m tools page`: what the live page of a model weighs and how fast it answers; bench/page.json.

In headless Chromium it measures how long after the page's load the first answer is there, compares the logits of a
test set with Python's, counts the page's requests and what axe finds in it, and takes the picture of docs/PAGE.md.
"""

import base64
import importlib.util
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from signbit.codegen import wasm
from signbit.codegen.page import live_page
from signbit.codegen.plan import make_plan
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.data.named import dataset_for
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.shipped import model_path
from tools.documents.blocks import ROOT

MODEL = "mnist-4k"
LOADS = 9
"""The median of so many is kept."""
INPUTS_AT_ONCE = 1000
RESULT = ROOT / "bench" / "page.json"
PICTURE = ROOT / "docs" / "img" / "page.png"
WINDOW = {"width": 1060, "height": 900}
TIMEOUT_MS = 300_000
THREE = (
    *((0.28, 0.22), (0.5, 0.14), (0.7, 0.26), (0.62, 0.42), (0.46, 0.49)),
    *((0.66, 0.56), (0.72, 0.74), (0.5, 0.87), (0.27, 0.78)),
)
"""A 3 that is drawn, as parts of the pad."""
FLAGS = ("--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
LOGITS = """async (text) => {
  const run = await loadModel();
  const inputs = unpacked(text);
  const logits = [];
  for (let start = 0; start < inputs.length; start += facts.input_size) {
    logits.push(...run(inputs.subarray(start, start + facts.input_size)).logits);
  }
  return logits;
}"""


def missing() -> str | None:
    """Why no page can be opened here; None if it can."""
    if not shutil.which("chromium"):
        return "needs Chromium (apt install chromium)"
    lacking = [name for name in ("playwright", "axe_playwright_python") if not importlib.util.find_spec(name)]
    return "needs playwright and axe-playwright-python (pip install 'signbit[browser]')" if lacking else wasm.missing()


@contextmanager
def chromium() -> Iterator:
    """A headless browser, of playwright's kind, whose microphone hears beeps."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


def new_page(browser, **settings):
    """An empty page, which waits long enough for a machine that is busy."""
    page = browser.new_page(**settings)
    page.set_default_timeout(TIMEOUT_MS)
    return page


def opened(browser, path: Path, **settings):
    """The page in `path`, once it has answered; whatever goes wrong on it is in its list `errors`."""
    page = new_page(browser, viewport=settings.pop("viewport", WINDOW), **settings)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri())
    page.evaluate("() => started")
    return page


def draw(page, points=THREE) -> None:
    """Draw a line through `points` on the pad, with the mouse."""
    box = page.locator("#pad").bounding_box()
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def logits_of(page, inputs: np.ndarray) -> np.ndarray:
    """The page's logits, int32 (n, classes), for uint8 inputs (n, input_size)."""
    texts = (
        base64.b64encode(inputs[start : start + INPUTS_AT_ONCE].tobytes()).decode()
        for start in range(0, len(inputs), INPUTS_AT_ONCE)
    )
    found = [page.evaluate(LOGITS, text) for text in texts]
    return np.array([value for part in found for value in part], np.int32).reshape(len(inputs), -1)


def first_answer_ms(page) -> float:
    """From the end of the page's load to its first answer; 0 where the answer came before."""
    return page.evaluate(
        """() => Math.max(0, performance.getEntriesByName("first answer")[0].startTime
             - performance.getEntriesByType("navigation")[0].loadEventEnd)"""
    )


def serious_findings(page) -> list[str]:
    """What axe calls serious or critical, each by its rule."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [violation["id"] for violation in violations if violation["impact"] in ("serious", "critical")]


def measure(name: str, data_dir: str | None) -> dict:
    """All figures of one shipped model's page."""
    model = load(model_path(name))
    inputs = np.asarray(dataset_for(model, None, data_dir).test.x)
    text = live_page(model, make_plan(model)).encode()
    with tempfile.TemporaryDirectory(prefix="signbit-") as folder, chromium() as browser:
        path = Path(folder) / "page.html"
        path.write_bytes(text)
        times = []
        for _ in range(LOADS):
            page = opened(browser, path)
            times.append(first_answer_ms(page))
            page.close()
        requests = []
        page = opened(browser, path)
        page.on("request", lambda request: requests.append(request.url))
        page.reload()
        draw(page)
        page.get_by_text("an inference in this browser").wait_for()
        PICTURE.write_bytes(page.screenshot())
        found = logits_of(page, inputs)
        return {
            "model": name,
            "hash": model.hash,
            "browser": f"Chromium {browser.version}",
            "page_bytes": len(text),
            "first_answer_ms": round(statistics.median(times), 1),
            "inputs": len(inputs),
            "logits": found.size,
            "different": int(np.count_nonzero(found != model.run(inputs))),
            "requests": len(requests) - 1,
            "axe_serious": serious_findings(page),
            "errors": page.errors,
        }


def main(arguments: list[str]) -> int:
    """Measure and write bench/page.json; 1 if a logit differs, or a request, an error or a finding is there."""
    parser = Parser(prog="python -m tools page", description=__doc__.partition(": ")[2])
    parser.add_argument("--data-dir", metavar="DIR", help="folder of MNIST's files (default: $SIGNBIT_DATA_DIR)")
    options = parser.parse_args(arguments)
    if missing():
        raise SignbitError(f"nothing was measured: {missing()}")
    result = measure(MODEL, options.data_dir)
    text = json.dumps(result, indent=2)
    write_whole(RESULT, f"{text}\n".encode())
    print(text)
    good = not any(result[name] for name in ("different", "requests", "axe_serious", "errors"))
    return EXIT_OK if good else EXIT_DIFFERENT

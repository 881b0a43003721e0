"""The live page in Chromium: drawn on with mouse and keys, fed with files, looked at by axe, and kept offline."""

import json
import re
import threading
import wave
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from signbit.codegen.page import live_page
from signbit.codegen.plan import make_plan
from signbit.codegen.report_page import png
from signbit.qmodel.file import load
from signbit.qmodel.input_quantization import Affine
from tests.test_page import HOSTILE
from tools.measure import page as tool
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, random_network

PHONE = {"width": 360, "height": 740}
SEEN = """() => { const {width, height} = seen;
  return [...seen.getContext("2d").getImageData(0, 0, width, height).data].filter((_, index) => index % 4 === 0); }"""


@pytest.fixture(scope="module")
def browser():
    if tool.missing():
        pytest.skip(tool.missing())
    with tool.chromium() as started:
        yield started


@pytest.fixture
def show(browser, tmp_path):
    """Opens a model's page; when the test ends nothing may have gone wrong on it."""
    pages = []

    def open_page(model, text=None, **settings):
        path = tmp_path / "page.html"
        path.write_text(text or live_page(model, make_plan(model)))
        pages.append(tool.opened(browser, path, **settings))
        return pages[-1]

    yield open_page
    for page in pages:
        assert page.errors == []
        page.close()


@pytest.fixture
def shipped(repository):
    return lambda name: load(repository / "models" / name)


def eventually(page, place):
    """What is said of a place is waited for."""
    from playwright.sync_api import expect

    return expect(page.locator(place).first)


def answer(page):
    """The class and the logits that the page shows."""
    numbers = page.locator("#logits td:last-child").all_inner_texts()
    return page.inner_text("#class"), [int(number.replace(",", "")) for number in numbers]


def expected(model, inputs):
    (logits,) = model.run(inputs[None])
    return model.labels[logits.argmax()], logits.tolist()


def test_a_drawn_digit_is_read_and_its_logits_are_python_s(show, shipped, tmp_path):
    model = shipped("mnist-4k.npz")
    page = show(model)
    assert page.inner_text("#class") == "–"
    tool.draw(page)
    pixels = np.array(page.evaluate(SEEN), np.uint8)
    assert answer(page) == expected(model, pixels) and page.inner_text("#class") == "3"
    rows, columns = np.nonzero(pixels.reshape(28, 28) > 16)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (20, 21)
    assert abs(np.average(np.arange(28), weights=pixels.reshape(28, 28).sum(axis=1)) - 13.5) < 0.6
    light = page.screenshot(path=tmp_path / "light.png")
    page.emulate_media(color_scheme="dark")
    assert page.screenshot(path=tmp_path / "dark.png") != light
    page.click("#clear")
    assert page.inner_text("#class") == "–"


def test_a_digit_is_drawn_with_keys_alone(show, shipped):
    """A 7: along the top, then down to the left."""
    page = show(shipped("digits-mlp.npz"))
    page.keyboard.press("Tab")
    top = [*["ArrowUp"] * 9, *["ArrowLeft"] * 6, " ", *["ArrowRight"] * 14]
    for key in [*top, *["ArrowDown", "ArrowDown", "ArrowLeft"] * 9, " "]:
        page.keyboard.press(key)
    assert "Pen up at" in page.inner_text("#message")
    assert page.inner_text("#class") == "7"
    page.keyboard.press("Delete")
    assert page.inner_text("#class") == "–"


def test_a_loaded_picture_of_the_right_size_is_taken_byte_for_byte(show, shipped, digits, tmp_path):
    model = shipped("digits-conv.npz")
    page = show(model)
    page.uncheck("#centre")
    for pixels in digits.test.x[:4]:
        grey = pixels.reshape(8, 8)
        (tmp_path / "digit.png").write_bytes(png(np.repeat(grey[..., None], 3, axis=2)))
        page.set_input_files("#file", tmp_path / "digit.png")
        eventually(page, "#class").to_have_text(expected(model, pixels)[0])
        assert answer(page) == expected(model, pixels)


def test_a_coloured_picture_is_taken_byte_for_byte(show, tmp_path):
    model = next(model for model in map(random_network, range(99)) if model.input_shape[2:] == (3,))
    pixels = np.random.default_rng(0).integers(0, 256, model.input_shape, dtype=np.uint8)
    (tmp_path / "colours.png").write_bytes(png(pixels))
    page = show(model)
    page.set_input_files("#file", tmp_path / "colours.png")
    eventually(page, "#class").not_to_have_text("–")
    assert answer(page) == expected(model, pixels.reshape(-1))


def test_ink_on_paper_is_inverted_and_centred(show, shipped, mnist, tmp_path):
    model = shipped("mnist-4k.npz")
    page = show(model)
    for pixels, label in zip(mnist.test.x[:10], mnist.test.y[:10], strict=True):
        large = np.full((300, 400), 255, np.uint8)
        large[60:228, 150:318] = 255 - pixels.reshape(28, 28).repeat(6, axis=0).repeat(6, axis=1)
        (tmp_path / "photo.png").write_bytes(png(np.repeat(large[..., None], 3, axis=2)))
        page.set_input_files("#file", tmp_path / "photo.png")
        eventually(page, "#class").to_have_text(str(label))
        assert page.is_checked("#invert")
        page.click("#clear")


def test_what_is_no_picture_is_refused(show, shipped, tmp_path):
    page = show(shipped("digits-mlp.npz"))
    (tmp_path / "no.png").write_text("text")
    page.set_input_files("#file", tmp_path / "no.png")
    eventually(page, "#message").to_have_text("no.png: is no picture that this browser reads")


def table_model():
    """Four columns, one of them with a hostile name, three classes, one with a hostile label."""
    from dataclasses import replace

    multiplier, bias = np.array([900, 700, 500, 300], np.int16), np.array([0, 9000, -5000, 70], np.int32)
    data = {"columns": ["length (cm)", HOSTILE, "c", "d"], "lsb": {"length (cm)": 0.01, "c": 0.5}}
    model = replace(
        random_model(3, (4, 9, 3)),
        input_quantization=Affine(multiplier, bias, 7),
        labels=("a", HOSTILE, "c"),
        provenance={"data": data},
    )
    return model.validate()


def test_a_table_is_pasted_loaded_and_set_by_sliders(show, tmp_path):
    model = table_model()
    page = show(model)
    counts = np.array([[12, 34, 5, 6], [30, 2, 1, 39], [25, -3, 9, 20]], np.int16)
    names = ["c", "length (cm)", '"' + HOSTILE.replace('"', '""') + '"', "d"]
    rows = [f"{row[2] / 2},{row[0] / 100},{row[1]},{row[3]}" for row in counts.tolist()]
    page.fill("#paste", rows[0])
    assert page.inner_text("#message").startswith("1 row; columns column 1")
    (tmp_path / "rows.csv").write_text("\n".join([",".join(names), *rows]))
    page.set_input_files("#file", tmp_path / "rows.csv")
    eventually(page, "#message").to_have_text(re.compile(r"^3 rows; columns length"))
    inputs = model.quantize_input(counts)
    for number in range(3):
        page.fill("#row", str(number + 1))
        assert answer(page) == expected(model, inputs[number])
    assert page.input_value("#value-0") == "0.25" and page.input_value("#value-2") == "4.5"
    page.fill("#value-3", "30")
    page.keyboard.press("Tab")
    counts[2, 3] = 30
    page.locator("input[type=range]").nth(3).press("ArrowRight")
    counts[2, 3] += 1
    assert answer(page) == expected(model, model.quantize_input(counts)[2])
    page.fill("#paste", "1,2,3")
    assert "a row needs 4 numbers" in page.inner_text("#message")
    page.fill("#paste", "1;2;3;4,5")
    assert page.input_value("#value-3") == "4"


def test_a_wide_row_is_pasted(show):
    model = random_model(1, (100, 9, 4))
    page = show(model)
    inputs = np.random.default_rng(0).integers(0, 256, 100, dtype=np.uint8)
    page.fill("#paste", ",".join(map(str, inputs)))
    assert answer(page) == expected(model, inputs)
    assert page.inner_text("#message").endswith("column 8, …") and page.locator("input[type=range]").count() == 0


def test_a_window_moves_over_a_recording(show, shipped, tmp_path):
    model = shipped("activity-600.npz")
    page = show(model)
    data = model.provenance["data"]
    names = [data["columns"][index] for index in (1, 0, 5, 3, 4, 2)]
    worth = np.array([data["lsb"][name] for name in data["columns"]])
    rng = np.random.default_rng(0)
    counts = rng.integers(-9000, 9000, (200, 6), dtype=np.int16)
    rows = ["\t".join(f"{value:.9f}" for value in row) for row in (counts * worth)[:, [1, 0, 5, 3, 4, 2]]]
    lines = ["\t".join(["time", *names]), *(f"0.1\t{row}" for row in rows)]
    page.fill("#paste", "\n".join(lines))
    for start in (0, 51, 72):
        page.fill("#position", str(start))
        window = model.quantize_input(counts[start : start + 128].reshape(1, -1))
        assert answer(page) == expected(model, window[0])
    page.fill("#paste", "\n".join(lines[:20]))
    assert page.inner_text("#message") == "there are 19 rows, but a window has 128"


def test_a_sound_is_loaded_and_the_microphone_heard(show, tmp_path):
    model = front_end_model(0, *FRONT_ENDS[0])
    page = show(model)
    rng = np.random.default_rng(1)
    samples = np.cumsum(rng.integers(-200, 200, 4000)).astype(np.int16)
    with wave.open(str(tmp_path / "noise.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, len(samples), "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    page.set_input_files("#file", tmp_path / "noise.wav")
    eventually(page, "#message").to_have_text("0.25 s at 16,000 Hz")
    for start in (0, 999, 2400):
        page.fill("#position", str(start))
        inputs = model.inputs_from(samples[start : start + 1600].reshape(1, -1))
        assert answer(page) == expected(model, inputs[0])
    _, before = answer(page)
    page.click("#listen")
    eventually(page, "#listen").to_have_text("Stop")
    eventually(page, "#logits td:last-child").not_to_have_text(f"{before[0]:,}")
    page.click("#listen")
    assert page.inner_text("#listen") == "Listen"


@pytest.mark.parametrize("settings", [{}, {"color_scheme": "dark", "viewport": PHONE}], ids=["desk", "dark phone"])
@pytest.mark.parametrize("make", [
    lambda shipped: shipped("digits-conv.npz"), lambda shipped: shipped("activity-600.npz"),
    lambda _: table_model(), lambda _: front_end_model(0, *FRONT_ENDS[0])],
    ids=["picture", "recording", "values", "sound"],
)  # fmt: skip
def test_anybody_can_use_it(make, settings, show, shipped):
    """axe finds nothing serious, and nothing is wider than the window."""
    page = show(make(shipped), **settings)
    assert tool.serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


class Counting(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server here, with the `paths` that were asked for."""
    with HTTPServer(("127.0.0.1", 0), Counting) as made:
        made.paths = []
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


ASK = """(url) => Promise.allSettled([fetch(url + "/fetch", {mode: "no-cors"}), new Promise((resolve) => {
  const image = new Image(); image.onload = image.onerror = resolve; image.src = url + "/image"; }),
  navigator.sendBeacon(url + "/beacon", "") && new Promise((resolve) => setTimeout(resolve, 300))])"""


@pytest.mark.parametrize("is_kept", [True, False], ids=["page", "page without its policy"])
def test_no_request_leaves_the_page(is_kept, browser, shipped, server, tmp_path):
    model = shipped("digits-mlp.npz")
    text = live_page(model, make_plan(model))
    if not is_kept:
        text = text.replace("Content-Security-Policy", "Nothing")
    (tmp_path / "page.html").write_text(text)
    page = tool.opened(browser, tmp_path / "page.html")
    page.evaluate(ASK, f"http://127.0.0.1:{server.server_port}")
    page.close()
    assert (server.paths == []) == is_kept


def test_text_of_users_stays_text(show):
    page = show(table_model())
    assert HOSTILE in page.locator("#logits th").all_inner_texts()
    assert page.locator("script").count() == 3


def test_recorded_figures_keep_their_bounds():
    record = json.loads(tool.RESULT.read_text())
    assert record["page_bytes"] <= 25 * 1024 and record["first_answer_ms"] <= 100 and record["logits"] == 100_000
    assert (record["different"], record["requests"], record["axe_serious"], record["errors"]) == (0, 0, [], [])

"""The site of the documents: all of them are on it, every link leads somewhere, and its models answer."""

import re

import pytest

from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from tools.documents import markdown, site
from tools.documents.blocks import ROOT
from tools.documents.links import dead_links
from tools.documents.markdown import rewritten, source_url
from tools.measure import page as browser

RESOURCE = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="([^"]*)"')
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The site, built and on a disk."""
    if site.missing():
        pytest.skip(site.missing())
    folder = tmp_path_factory.mktemp("site")
    for name, content in site.build().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_every_document_is_on_the_site():
    found = {str(path.relative_to(ROOT)) for pattern in ("*.md", "[bdfm]*/*.md") for path in ROOT.glob(pattern)}
    assert found <= set(site.documents())


def test_all_pages_are_built_and_ask_nothing_of_other_servers(folder):
    for document in site.documents():
        page = document.replace("README.md", "index.md").replace(".md", ".html")
        assert len((folder / page).read_text()) > 5000, page
    resources = {found for page in folder.rglob("*.html") for found in RESOURCE.findall(page.read_text())}
    assert len(resources) > 10 and not [found for found in resources if "//" in found]


def test_links_into_the_code_lead_to_the_repository(folder):
    text = (folder / "docs" / "EXTENDING.html").read_text()
    assert f'href="{source_url("codegen/kernels/base.py")}"' in text
    assert source_url("bridge/operators") == "https://github.com/signbit/signbit/tree/main/bridge/operators"


def test_formulas_are_mathml(folder):
    text = (folder / "docs" / "TUTORIAL.html").read_text()
    document = (ROOT / "docs" / "TUTORIAL.md").read_text()
    blocks = document.count("$$") // 2
    assert text.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') == blocks > 5
    assert "$$" not in text and r"\frac" not in text


def test_the_live_models_answer_on_a_phone(folder):
    if browser.missing():
        pytest.skip(browser.missing())
    with browser.chromium() as started:
        page = browser.new_page(started, viewport=PHONE, color_scheme="dark")
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((folder / "LIVE.html").as_uri())
        frames = page.locator("iframe")
        assert frames.count() == len(site.LIVE_MODELS) == 3
        for number in range(3):
            frames.nth(number).scroll_into_view_if_needed()
            frame = frames.nth(number).content_frame
            frame.get_by_text("an inference in this browser").or_(frame.locator("#pad")).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        digit = frames.nth(0).content_frame
        frames.nth(0).scroll_into_view_if_needed()
        pad = digit.locator("#pad")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        for place, (x, y) in enumerate(browser.THREE):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
            if place == 0:
                page.mouse.down()
        page.mouse.up()
        digit.locator("#class", has_text="3").wait_for()
        assert errors == []


def test_dead_links_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<h1 id="top">x</h1><a href="../a.html#here">a</a>')
    (tmp_path / "a.html").write_text(
        '<a id="here" href="#here"></a><a href="sub/"></a><a href="sub#top"></a><a href="https://example.org/x"></a>'
        '<a href="b.html"></a><a href="#there"></a><a href="sub/index.html#bottom"></a><img src="no%20such.png">'
        f'<a href="../{tmp_path.name}/../outside.html"></a><a href="javascript:alert(1)"></a>'
    )
    (tmp_path.parent / "outside.html").write_text("<p>")
    found = ["b.html", "#there", "sub/index.html#bottom", "no%20such.png", f"../{tmp_path.name}/../outside.html"]
    assert dead_links(tmp_path) == [f"a.html: {target}" for target in (*found, "javascript:alert(1)")]


@pytest.fixture
def document(tmp_path, monkeypatch):
    """Writes docs/A.md of a project in which little else is."""
    monkeypatch.setattr(markdown, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "code.py").touch()

    def write(text):
        (tmp_path / "docs" / "A.md").write_text(text)
        return "docs/A.md"

    return write


def test_only_links_and_formulas_are_rewritten(document):
    text = (
        "[`f`](../code.py#L1) [on](#on) [far](https://x.org) ![two\nlines](../code.py)\n"
        "`[a](b)` $x_i$ costs $USER$\n```c\n[a](b) $x$\n```\n$$\n\\frac\n$$\n"
    )
    calls = []
    found = rewritten(
        document(text), lambda where, label: calls.append((where, label)) or "T", lambda latex, is_block: f"{is_block}"
    )
    assert found == (
        "[`f`](T#L1) [on](#on) [far](https://x.org) ![two\nlines](T)\n"
        "`[a](b)` False costs False\n```c\n[a](b) $x$\n```\nTrue\n"
    )
    assert calls == [("code.py", "[`f`]"), ("code.py", "![two\nlines]")]
    assert "$x_i$" in rewritten(document(text), lambda *_: "T")


def test_a_link_to_nothing_is_refused(document):
    with pytest.raises(SignbitError, match=r"docs/A.md: ../gone.py is a link to nothing"):
        rewritten(document("[a](../gone.py)"), lambda *_: "")


def test_a_page_that_zensical_refuses_is_said_in_a_line(monkeypatch, capsys):
    if site.missing():
        pytest.skip(site.missing())
    monkeypatch.setattr(site, "pages", lambda: {"README.md": b"[a](docs/GONE.md)", "LIVE.md": b"# x"})
    assert run_command(site.main, []) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: Zensical could not build the site: ") and said.count("\n") == 1


def test_the_extra_is_named_where_a_library_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(site, "LIBRARIES", ("json", "no_such_library"))
    assert run_command(site.main, []) == 2
    assert capsys.readouterr().err == "error: the site needs no_such_library: pip install 'signbit[site]'\n"

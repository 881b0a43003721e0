"""Links of built pages that lead nowhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Where a page's links and resources lead, and the places in it that a link may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def dead_links(folder: Path) -> list[str]:
    """Each link or resource of the .html files in `folder` that is no file there or no place in it, `page: link`.

    Pages of other sites are not asked for.
    """
    pages = {path: _Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    return [
        f"{page.relative_to(folder)}: {target}"
        for page, read in pages.items()
        for target in dict.fromkeys(read.targets)
        if not _leads_somewhere(page, target, folder.resolve(), pages)
    ]


def _leads_somewhere(page: Path, target: str, folder: Path, pages: dict[Path, _Page]) -> bool:
    url = urlsplit(target)
    if url.scheme or url.netloc:
        return url.scheme in ("https", "http", "mailto", "data")
    path = page.parent / unquote(url.path) if url.path else page
    if path.is_dir():
        path /= "index.html"
    inside = path.resolve().is_relative_to(folder) and path.is_file()
    known = next((read for other, read in pages.items() if inside and other.samefile(path)), None)
    return inside and (not url.fragment or known is None or unquote(url.fragment) in known.places)

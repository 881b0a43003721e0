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
    folder = folder.resolve()
    pages = {path: _Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    return [
        f"{path.relative_to(folder)}: {target}"
        for path, page in pages.items()
        for target in dict.fromkeys(page.targets)
        if not _leads_somewhere(target, path, folder, pages)
    ]


def _leads_somewhere(target: str, of: Path, folder: Path, pages: dict[Path, _Page]) -> bool:
    url = urlsplit(target)
    if url.scheme or url.netloc:
        return url.scheme in ("https", "http", "mailto", "data")
    path = (of.parent / unquote(url.path)).resolve() if url.path else of
    if path.is_dir():
        path /= "index.html"
    has_place = not url.fragment or path not in pages or unquote(url.fragment) in pages[path].places
    return path.is_relative_to(folder) and path.is_file() and has_place

"""The documents' Markdown: what in a text is a link or a formula, and where links into the project lead."""

import posixpath
import re
import tomllib
from collections.abc import Callable

from signbit.qmodel.errors import SignbitError
from tools.documents.blocks import ROOT

PIECE = re.compile(
    r"(?P<code>^```.*?^```$|`[^`]+`)"
    r"|(?P<label>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^)\s]+)\)"
    r"|\$\$(?P<block>[^$]+)\$\$"
    r"|\$(?P<inline>[^\s$][^$]*)\$",
    re.MULTILINE | re.DOTALL,
)
"""A fenced block or code span, in which nothing else is; a link or picture; a formula."""
ELSEWHERE = re.compile(r"[a-z]+:|#")
"""Links that do not lead into the project, or stay on their page."""


def rewritten(
    document: str,
    link: Callable[[str, str], str],
    formula: Callable[[str, bool], str] | None = None,
) -> str:
    """The text of `document`, a path in the project, with other links and formulas.

    `link` gets where a link to a file of the project leads, a path from ROOT, and its label in Markdown, `[label]` or
    `![label]`, and returns the link's new target.  `formula` gets a formula's LaTeX and whether it has lines of its
    own, and returns what replaces it; without it formulas stay.  Raises SignbitError for a link to nothing.
    """

    def replace(match: re.Match) -> str:
        if formula and (latex := match["block"] or match["inline"]):
            return formula(latex, bool(match["block"]))
        if not match["target"] or ELSEWHERE.match(match["target"]):
            return match[0]
        path, hash_mark, anchor = match["target"].partition("#")
        where = posixpath.normpath(posixpath.join(posixpath.dirname(document), path))
        if not (ROOT / where).exists():
            raise SignbitError(f"{document}: {match['target']} is a link to nothing")
        return f"{match['label']}({link(where, match['label'])}{hash_mark}{anchor})"

    return PIECE.sub(replace, (ROOT / document).read_text())


def source_url(path: str) -> str:
    """Where the project's repository shows the file or folder `path`."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    return f"{urls['Source']}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"

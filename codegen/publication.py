"""What a package says about who publishes it, declared once for every format."""

import re
import unicodedata
from dataclasses import dataclass

from signbit.qmodel.option_types import OptionType
from signbit.qmodel.options import Options, option

TEXT_MAX = 200
VERSION = re.compile(r"(0|[1-9][0-9]{0,4})(\.(0|[1-9][0-9]{0,4})){2}", re.ASCII)
AUTHOR = re.compile(r"(?P<name>[^<>|\\\s][^<>|\\]*?)( <(?P<email>[\w.+-]+@[\w-]+(\.[\w-]+)+)>)?")
URL = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?(/[\w./~%#?&=+:@,;-]*)?", re.ASCII | re.IGNORECASE)
ANONYMOUS = "anonymous"


def _text(metavar: str, says: str, pattern: re.Pattern) -> OptionType:
    """A text of one line that all of `pattern` describes."""

    def allows(value) -> bool:
        return isinstance(value, str) and value.isprintable() and bool(pattern.fullmatch(value[: TEXT_MAX + 1]))

    return OptionType(says, lambda value: allows(value) and len(value) <= TEXT_MAX, metavar)


@dataclass(frozen=True)
class Publication(Options):
    """Version, author and address of a package; every value is safe in one line of any of its files."""

    version: str = option(
        _text("X.Y.Z", "a version of three numbers such as 1.2.0", VERSION), "the package's version", "1.0.0"
    )
    author: str = option(
        _text("NAME", "a name such as Ada Lovelace, with an address if wanted: Ada Lovelace <ada@example.org>", AUTHOR),
        "who publishes it: a name, or NAME <ADDRESS>",
        ANONYMOUS,
    )
    url: str | None = option(
        _text("URL", "an address such as https://example.org/wren", URL),
        "where the package's sources are",
        None,
        default_text="none; signbit's where a format needs one",
    )

    @property
    def major(self) -> str:
        """The version's first number."""
        return self.version.partition(".")[0]

    @property
    def name(self) -> str | None:
        """The author's, without the address."""
        return None if self.author == ANONYMOUS else AUTHOR.fullmatch(self.author)["name"]

    @property
    def email(self) -> str | None:
        return AUTHOR.fullmatch(self.author)["email"]

    @property
    def vendor(self) -> str:
        """The author's name in ASCII letters and digits; "signbit" where none are left."""
        plain = unicodedata.normalize("NFKD", self.name or "").encode("ascii", "ignore").decode()
        return re.sub(r"[^A-Za-z0-9]+", "", plain) or "signbit"

"""`python -m tools sbom WHEEL`: the wheel's bill of materials as CycloneDX, to stdout.

The wheel itself with its hash, and the packages that it requires, in the versions of this environment.
"""

import re
import zipfile
from email.parser import Parser as Metadata
from importlib import metadata
from pathlib import Path

from signbit.codegen.sbom import SIGNBIT, bom, sha256
from signbit.qmodel.command import EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError

NAME = re.compile(r"[A-Za-z0-9._-]+")


def main(arguments: list[str]) -> int:
    parser = Parser(prog="python -m tools sbom", description=__doc__.partition(": ")[2])
    parser.add_argument("wheel", metavar="WHEEL", type=Path, help="such as dist/signbit-0.1.0-py3-none-any.whl")
    print(wheel_bom(parser.parse_args(arguments).wheel), end="")
    return EXIT_OK


def wheel_bom(wheel: Path) -> str:
    """Raises SignbitError if the file is no wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
            told = Metadata().parsestr(archive.read(name).decode())
    except (zipfile.BadZipFile, ValueError):
        raise SignbitError(f"{wheel} is not a wheel; python -m pip wheel --no-deps . makes one") from None
    required = [each for each in told.get_all("Requires-Dist") or [] if "extra ==" not in each]
    file = SIGNBIT | {"version": told["Version"], "hashes": [{"alg": "SHA-256", "content": sha256(wheel.read_bytes())}]}
    return bom(file, (_package(NAME.match(each)[0]) for each in required))


def _package(name: str) -> dict:
    """A package of this environment."""
    found = metadata.metadata(name)
    purl = f"pkg:pypi/{name.lower()}@{found['Version']}"
    licence = found.get("License-Expression")
    known = {"licenses": [{"expression": licence}]} if licence else {}
    return {"type": "library", "bom-ref": purl, "name": name, "version": found["Version"], "purl": purl, **known}

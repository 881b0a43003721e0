"""Which ways of Python's branches the tests go: `tools/check --coverage` measures it.

All that tests begin is measured with them: subprocesses, and jobs in processes of their own.  What is killed is not.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "coverage"
REPORT = FOLDER / "report.json"
ROOMS = ("qmodel", "trainer", "codegen", "bridge", "signbit")
"""What users have; what only a checkout needs is not counted."""
CONFIG = """[run]
branch = true
parallel = true
data_file = {folder}/data
patch =
    subprocess
    _exit
source =
{sources}
"""


def command() -> list[str]:
    """What runs Python under measurement; what was measured before is forgotten."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    sources = "\n".join(f"    {ROOT / room}" for room in ROOMS)
    (FOLDER / "rc").write_text(CONFIG.format(folder=FOLDER, sources=sources))
    return _coverage("run")


def report(is_whole: bool) -> None:
    """Add up what all processes have measured, and print a line for each room; `figures` are of whole runs only."""
    if not list(FOLDER.glob("data.*")):
        return
    subprocess.run(_coverage("combine", "--quiet"), cwd=ROOT, check=True)
    subprocess.run(_coverage("json", "--quiet", "-o", str(REPORT)), cwd=ROOT, check=True)
    files = json.loads(REPORT.read_text())["files"]
    REPORT.write_text(json.dumps({"code": code_hash() if is_whole else None, "files": files}))
    for room in ROOMS:
        taken, ways = _count(files, (room,))
        print(f"{room}: {taken:,} of {ways:,} ways of branches taken, {taken / ways:.2%}")


def figures() -> tuple[int, int] | None:
    """Ways of branches that the tests take, and all that there are; None if this code was not measured."""
    kept = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    return _count(kept["files"], ROOMS) if kept.get("code") == code_hash() else None


def _count(files: dict[str, dict], rooms: tuple[str, ...]) -> tuple[int, int]:
    found = [file["summary"] for path, file in files.items() if path.partition("/")[0] in rooms]
    return sum(each["covered_branches"] for each in found), sum(each["num_branches"] for each in found)


def code_hash() -> str:
    """A hash of all Python in the rooms and of the tests."""
    digest = hashlib.sha256()
    for path in sorted(path for room in (*ROOMS, "tests") for path in (ROOT / room).rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _coverage(action: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "coverage", action, f"--rcfile={FOLDER / 'rc'}", *options]

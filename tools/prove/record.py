"""What long runs of the proofs came to: bench/proofs.json, and its table in docs/SECURITY.md and line in README.md."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, field

from signbit.places import ROOT
from signbit.qmodel.atomic import write_whole
from tools.documents.blocks import README, replace_block, table_of
from tools.prove.row import MOST, Outcome, Row, merged

FILE = ROOT / "bench" / "proofs.json"
DOCUMENT = ROOT / "docs" / "SECURITY.md"
BLOCK = "proofs"
NOT_CODE = (".md", ".pyc", ".npz")


@dataclass
class Record:
    """The cases that were run with the code of hash `code`; `runs` says which of them on which commit."""

    code: str
    cases: int = 0
    seconds: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)

    def add(self, first: int, count: int, outcome: Outcome, seconds: float, commit: str) -> None:
        """Count a run of `count` cases, the next ones."""
        self.cases += count
        self.seconds += round(seconds)
        self.counts = merged(self.counts, outcome.counts)
        self.findings += outcome.findings
        if self.runs and self.runs[-1]["commit"] == commit:
            self.runs[-1]["cases"] += count
        else:
            self.runs.append({"commit": commit, "first": first, "cases": count})


def code_hash(row: Row) -> str:
    """A hash of all that the row covers, by names and contents; documents and models are no code."""
    digest = hashlib.sha256()
    for place in (*row.covers, "tools/prove/row.py"):
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(ROOT).parts)
            if file.is_file() and not hidden and file.suffix not in NOT_CODE:
                digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def commit() -> str:
    """The checkout's commit, with a + if files have changed since; "unknown" where there is no git."""
    words = ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def load() -> dict[str, Record]:
    """By the rows' names."""
    return {name: Record(**one) for name, one in json.loads(FILE.read_text()).items()} if FILE.exists() else {}


def record_of(row: Row, records: dict[str, Record]) -> Record:
    """What is recorded of the row's code as it is now; nothing if the code has changed."""
    code = code_hash(row)
    found = records.get(row.name)
    return found if found and found.code == code else Record(code)


def save(records: dict[str, Record], rows: tuple[Row, ...]) -> None:
    """Write the file, the table and the line."""
    kept = {row.name: asdict(records[row.name]) for row in rows if row.name in records}
    write_whole(FILE, (json.dumps(kept, indent=1) + "\n").encode())
    replace_block(BLOCK, table(records, rows), DOCUMENT)
    replace_block(BLOCK, line(records, rows), README)


def table(records: dict[str, Record], rows: tuple[Row, ...]) -> str:
    """A row for each proof: what was run at the latest, and on which commits."""
    columns = (
        ("proof", lambda row: f"`{row.name}`"),
        ("what it shows", "promise"),
        ("cases run", lambda row: f"{records[row.name].cases if row.name in records else 0:,} {row.unit}"),
        ("of", "total"),
        ("among them", lambda row: words(records[row.name].counts) if row.name in records else ""),
        ("findings", lambda row: len(records[row.name].findings) if row.name in records else None),
        ("commits", lambda row: _commits(records[row.name]) if row.name in records else ""),
    )
    cells = [{"row": row, "promise": row.promise, "total": row.total} for row in rows]
    return table_of(
        cells,
        [
            (title, cell if isinstance(cell, str) else lambda each, cell=cell: cell(each["row"]))
            for title, cell in columns
        ],
        left=2,
    )


def _commits(record: Record) -> str:
    return ", ".join(dict.fromkeys(run["commit"] for run in record.runs))


def words(counts: dict[str, int]) -> str:
    """Such as "12,345 values, at most 184 MB held"."""
    most = {name: name.removeprefix(MOST) for name in counts}
    return ", ".join(f"{'at most ' * (most[name] != name)}{count:,} {most[name]}" for name, count in counts.items())


def line(records: dict[str, Record], rows: tuple[Row, ...]) -> str:
    """The first page's sentence."""
    findings = sum(len(record.findings) for record in records.values())
    cases = sum(record.cases for record in records.values())
    return (
        f"- **Each promise has a proof that can fail:** {len(rows)} proofs, {cases:,} cases, {findings} findings,\n"
        "  [in one table](docs/SECURITY.md#proofs)."
    )

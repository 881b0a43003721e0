"""python -m tools activity FOLDER FILE: real activity as a table, with the published split by person.

HAPT holds what 30 people did with a telephone at their waist: six signals at 50 Hz, in 61 experiments (J.-L.
Reyes-Ortiz, L. Oneto, A. Samà, X. Parra, D. Anguita, Transition-aware human activity recognition using smartphones,
Neurocomputing 171, 2016; archive.ics.uci.edu, data set 341).  The table has the rows of the six basic activities.  A
recording is a stretch of one activity, so that no window crosses from one to another.  The test part is the nine people
of the test part of UCI HAR, the data set's first version.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from signbit.qmodel.archive import plain_arrays
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import Parser
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.untrusted import read_file

ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "lying")
"""Labels 1 to 6.  Those above are transitions."""
COLUMNS = "person,split,recording,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,activity"
"""Acceleration in g, rotation in rad/s."""
COUNT_WORTH = np.array([1 / 720] * 3 + [np.radians(0.0175)] * 3)
"""What one count of the telephone's sensors is worth, in the same units."""
TEST_PEOPLE = frozenset((2, 4, 9, 10, 12, 13, 18, 20, 24))
VALIDATION_PEOPLE = frozenset((6, 17, 27))
"""Every seventh of the 21 others, from the fourth on."""
SIGNALS = re.compile(r"acc_exp(\d+)_user(\d+)\.txt")
ARCHIVE = "hapt_counts.npz"
BYTES_MAX = 1 << 28


@dataclass(frozen=True, eq=False)
class Stretch:
    """Rows of one activity, float64 (rows, 6), in the columns' units."""

    person: int
    activity: int
    rows: np.ndarray


def activity_csv(folder: Path) -> str:
    """The table's text; raises SignbitError where `folder` does not hold the data set.

    The files are those of the data set's RawData, in any folder below.  One archive may replace them, ARCHIVE: int16
    `counts` (rows, 6) and what each is worth, `lsb` (6,); `label`, `user` and `experiment` of each row.
    """
    text = io.StringIO()
    text.write(COLUMNS + "\n")
    archive = Path(folder) / ARCHIVE
    found = _of_archive(archive) if archive.is_file() else _of_texts(Path(folder))
    for number, stretch in enumerate(stretch for stretch in found if 1 <= stretch.activity <= len(ACTIVITIES)):
        # the nearest count, so that the same data give the same text whichever way they were rounded
        values = np.rint(stretch.rows / COUNT_WORTH).astype(np.int64) * COUNT_WORTH
        head = f"{stretch.person},{_part(stretch.person)},{number}"
        line = f"{head},%.5f,%.5f,%.5f,%.5f,%.5f,%.5f,{ACTIVITIES[stretch.activity - 1]}\n"
        text.write(line * len(values) % tuple(values.ravel().tolist()))
    return text.getvalue()


def main(arguments: list[str]) -> None:
    parser = Parser(prog="python -m tools activity", description=__doc__.partition(": ")[2])
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the data set as it was unpacked")
    parser.add_argument("out", metavar="FILE", type=Path, help="file to write, activity.csv for example")
    options = parser.parse_args(arguments)
    text = activity_csv(options.folder)
    write_whole(options.out, text.encode())
    print(f"{options.out}: {text.count(chr(10)) - 1:,} rows")


def _part(person: int) -> str:
    return "test" if person in TEST_PEOPLE else "validation" if person in VALIDATION_PEOPLE else "train"


def _of_texts(folder: Path) -> Iterator[Stretch]:
    """labels.txt has experiment, person, label, first and last row, from 0; the others x, y, z in each row."""
    found = ((SIGNALS.fullmatch(path.name), path) for path in folder.rglob("acc_*.txt"))
    files = {tuple(map(int, match.groups())): path for match, path in found if match}
    labels = sorted(folder.rglob("labels.txt"))
    if not files or not labels:
        raise SignbitError(
            f"{folder}: has no acc_exp01_user01.txt or no labels.txt in it or below; unpack HAPT there, "
            "data set 341 of archive.ics.uci.edu"
        )
    ranges = _table(labels[0], 5).astype(np.int64)
    for key, path in sorted(files.items()):
        gyro = path.with_name(path.name.replace("acc", "gyro", 1))
        signals = [_table(file, 3) for file in (path, gyro)]
        if len(signals[0]) != len(signals[1]):
            raise SignbitError(f"{path.name} and {gyro.name} differ in their number of rows")
        rows = np.hstack(signals)
        for _, _, activity, first, last in ranges[(ranges[:, :2] == key).all(axis=1)].tolist():
            if not 0 <= first <= last < len(rows):
                raise SignbitError(f"{labels[0].name}: rows {first} to {last} are not in {path.name}")
            yield Stretch(key[1], activity, rows[first : last + 1])


def _of_archive(path: Path) -> Iterator[Stretch]:
    try:
        arrays = plain_arrays(read_file(path, BYTES_MAX), BYTES_MAX)
        keys = np.stack([arrays[name] for name in ("experiment", "user", "label")], axis=1)
        rows = arrays["counts"] * arrays["lsb"]
    except (SignbitError, KeyError, ValueError) as error:
        raise SignbitError(f"{path.name}: can't be understood ({error})") from None
    changes = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    for first, end in pairwise([0, *changes.tolist(), len(keys)]):
        _, person, activity = keys[first].tolist()
        yield Stretch(person, activity, rows[first:end])


def _table(path: Path, columns: int) -> np.ndarray:
    """Numbers of a text file, float64 (rows, columns)."""
    try:
        values = np.loadtxt(io.BytesIO(read_file(path, BYTES_MAX)), ndmin=2)
    except (OSError, ValueError) as error:
        raise SignbitError(f"{path.name}: can't be read ({error})") from None
    if values.shape[1] != columns or not np.isfinite(values).all():
        raise SignbitError(f"{path.name}: must have {columns} numbers in each row")
    return values

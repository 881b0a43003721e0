"""What was found of each mutant: bench/mutants.json, and why some can't be caught: explained.toml.

A result holds as long as the mutant's own function or line is the same, since its name is a hash of that.
"""

import json
import tomllib
from collections import defaultdict
from pathlib import Path

from signbit.places import ROOT
from signbit.qmodel.atomic import write_whole
from tools.mutants.mutant import Mutant

FILE = ROOT / "bench" / "mutants.json"
EXPLAINED = Path(__file__).with_name("explained.toml")


def load() -> dict[str, str]:
    """By the mutant's name the test that caught it; "" for one that survives."""
    found: dict[str, str] = {}
    for result in json.loads(FILE.read_text()).values() if FILE.exists() else ():
        found |= dict.fromkeys(result["survived"], "")
        found |= {name: test for test, names in result["caught"].items() for name in names.split()}
    return found


def save(results: dict[str, str], mutants: dict[str, Mutant]) -> dict[str, str]:
    """Write them beside those that are in the file, of mutants that there are; returns all."""
    results = load() | results
    table: dict[str, dict] = defaultdict(lambda: {"survived": {}, "caught": defaultdict(list)})
    for mutant in mutants.values():
        test = results.get(mutant.name)
        if test:
            table[mutant.file]["caught"][test].append(mutant.name)
        elif test is not None:
            table[mutant.file]["survived"][mutant.name] = f"{mutant.line}: {mutant.change}"
    for result in table.values():
        result["caught"] = {test: " ".join(names) for test, names in result["caught"].items()}
    write_whole(FILE, (json.dumps(table, indent=1) + "\n").encode())
    return results


def explained() -> dict[str, str]:
    """By the mutant's name why no test can catch it, or need to."""
    return {name: row["why"] for row in tomllib.loads(EXPLAINED.read_text())["explained"] for name in row["mutants"]}

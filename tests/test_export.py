"""`python -m codegen`: the golden header, byte-identical output, hostile texts, and errors of one line."""

import dataclasses
import hashlib
import json
import os
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signbit.codegen.commands.cli import main
from signbit.codegen.ctext import check_prefix, string_literal
from signbit.codegen.measure import Measured
from signbit.codegen.package import package_files
from signbit.codegen.plan import make_plan
from signbit.codegen.publication import Publication
from signbit.codegen.render import header_text
from signbit.codegen.report import as_dict, summary
from signbit.codegen.verify import Comparison
from signbit.qmodel.command import run_command
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from tools.networks.random import FRONT_ENDS, front_end_model, random_model

GOLDEN = {"version1": 2, "version1_counts": 0}
"""Models in tests/fixtures, and how many test vectors their headers in tests/golden have."""
UPDATE = "SIGNBIT_UPDATE_GOLDEN"


@pytest.fixture
def model_path(tmp_path):
    path = tmp_path / "model.npz"
    save(random_model(1, (40, 6, 3)), path)
    return path


def codegen(*arguments) -> int:
    return run_command(main, [str(argument) for argument in arguments])


def one_error_line(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", captured.err), captured.err
    return captured.err


@pytest.mark.parametrize("name", GOLDEN)
def test_header_is_the_golden_one(name, repository):
    """Any change of the generated text is seen, and made on purpose: SIGNBIT_UPDATE_GOLDEN=1 writes it anew."""
    model, golden = load(repository / f"tests/fixtures/{name}.npz"), repository / f"tests/golden/{name}.h"
    text = header_text(make_plan(model, test_vectors=GOLDEN[name]))
    text = re.sub(r"signbit \d\S+;", "signbit VERSION;", text)
    if os.environ.get(UPDATE):
        golden.write_text(text)
    assert text == golden.read_text()


def test_same_model_gives_the_same_bytes(model_path, tmp_path):
    outputs = []
    for seed, name in (("1", "a.h"), ("2", "b.h")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": f"UTC{seed}"}
        command = [sys.executable, "-m", "codegen", "export", str(model_path), "-o", str(tmp_path / name)]
        subprocess.run([*command, "--test-vectors", "3"], check=True, env=environment)
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1]


def test_header_names_no_date_and_no_path(model_path, tmp_path):
    codegen("export", model_path, "-o", tmp_path / "m.h")
    text = (tmp_path / "m.h").read_text()
    assert str(tmp_path) not in text and "model.npz" not in text
    assert not re.search(r"20\d\d-\d\d|\d\d:\d\d", text)


def test_export_is_quiet_about_nothing_and_says_what_it_wrote(model_path, tmp_path, capsys):
    assert codegen("export", model_path, "-o", tmp_path / "m.h", "--report", tmp_path / "m.json") == 0
    assert "bytes of scratch" in capsys.readouterr().out
    report = json.loads((tmp_path / "m.json").read_text())
    assert report["layers"][0]["weights"] == 240


def test_a_bill_of_materials_names_header_model_and_generator(model_path, tmp_path, capsys):
    header, bill = tmp_path / "m.h", tmp_path / "m.cdx.json"
    assert codegen("export", model_path, "-o", header, "--sbom", bill) == 0
    found, model = json.loads(bill.read_text()), load(model_path)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    made = found["metadata"]["component"]
    assert made["name"] == "m.h" and made["hashes"][0]["content"] == hashlib.sha256(header.read_bytes()).hexdigest()
    assert found["components"][0]["hashes"] == [{"alg": "SHA-256", "content": model.hash}]
    assert found["metadata"]["tools"]["components"][0]["name"] == "signbit"
    assert found["dependencies"] == [{"ref": made["bom-ref"], "dependsOn": [f"model:{model.hash}"]}]
    assert made["version"] == found["components"][0]["version"] == model.hash[:8]
    first = bill.read_bytes()
    assert first.startswith(b'{\n  "$schema"') and first.endswith(b"\n}\n")
    assert codegen("export", model_path, "-o", header, "--sbom", bill) == 0 and bill.read_bytes() == first


def test_check_says_whether_the_header_is_fresh(model_path, tmp_path, capsys):
    header = tmp_path / "m.h"
    assert codegen("export", model_path, "-o", header, "--check") == 1
    assert not header.exists()
    assert codegen("export", model_path, "-o", header) == 0
    assert codegen("export", model_path, "-o", header, "--check") == 0
    header.write_text(header.read_text() + " ")
    assert codegen("export", model_path, "-o", header, "--check") == 1
    assert header.read_text().endswith(" ")


def test_export_to_stdout_is_the_header_and_nothing_else(model_path):
    command = [sys.executable, "-m", "codegen", "export", str(model_path), "-o", "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert text == header_text(make_plan(load(model_path)))


def test_inspect_prints_table_or_json(model_path, capsys):
    assert codegen("inspect", model_path) == 0
    text = capsys.readouterr().out
    assert "0 dense" in text and "dense_rows" in text and "\x1b" not in text
    assert codegen("inspect", model_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 40 * 6 + 6 * 3


SUMMARY = """\
NAME, model HASH, target cortex-m4, optimized for speed
flash # bytes: weights #, parameters #, tables #, code # (compiled, -O#)
RAM # bytes of scratch
stack at most # bytes
MACs #
work # instructions, predicted
features # frames of # samples, kernel m4/points, # instructions more, # a frame, predicted; \
samples take # bytes, the input #
stream # bytes of RAM for all of these; a hop takes # instructions, an answer # more, predicted
"""


def test_summary_has_every_line_and_its_parts_are_the_whole():
    model = front_end_model(0, *FRONT_ENDS[0])
    plan = make_plan(dataclasses.replace(model, decision=None), "m", "cortex-m4")
    measured = Measured(9000, 321, ("-mthumb", "-O2", "-std=c99", "-ffreestanding"))
    text = "\n".join(summary(plan, measured))
    lines = text.replace(plan.model_hash[:8], "HASH").replace(plan.model_name, "NAME").splitlines()
    figures = [
        [int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]*\b", line.replace("cortex-m4", ""))]
        for line in lines
    ]
    shape = [" ".join(re.sub(r"(?<![\w-])\d(?:[\d,]*\d)?|(?<=-O)\d", "#", line).split()) for line in lines]
    assert shape == SUMMARY.splitlines()
    whole, *parts = figures[1]
    assert whole == sum(parts) == 9000 and parts[2] == plan.table_bytes
    assert figures[2:5] == [[plan.scratch_bytes], [321], [plan.macs]]
    frames, frame, instructions, a_frame, samples, inputs = figures[6]
    assert (frames, frame) == (plan.front_end.frame_count, model.front_end.frame)
    assert instructions == pytest.approx(frames * a_frame, abs=frames) and inputs == model.input_size
    assert samples == 2 * np.prod(model.front_end.samples_shape)
    assert figures[7][0] == plan.stream_bytes and figures[7][2] == figures[5][0]
    report = as_dict(plan, measured)
    assert (report["flash_bytes"], report["stack_bytes"]) == (9000, 321)
    assert (report["front_end"]["stream_bytes"], report["front_end"]["samples_bytes"]) == (figures[7][0], samples)
    assert as_dict(make_plan(front_end_model(5, *FRONT_ENDS[5])))["front_end"]["stream_bytes"] is None


def test_kernels_of_the_table_are_one_under_the_other(repository, capsys):
    assert codegen("inspect", repository / "models" / "digits-conv.npz", "--target", "cortex-m4") == 0
    head, _, *rows = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert len(rows) > 2
    for row in rows:
        assert re.match(r"(m3|m4|c99)/", row[head.index("kernel") :]) and row[head.index("kernel") - 1] == " "


def test_verify_says_equal_on_the_test_set(tmp_path, capsys):
    model = dataclasses.replace(random_model(1, (64, 6, 10)), input_shape=(8, 8, 1))
    save(model, tmp_path / "digits.npz")
    assert codegen("verify", tmp_path / "digits.npz", "--data", "digits") == 0
    text = capsys.readouterr().out
    assert "digits test set: 360 inputs, 6,480 values compared in 2 layers, C == Python" in text


def test_verify_fails_when_one_part_differs(tmp_path, capsys, monkeypatch):
    path = tmp_path / "m.npz"
    save(dataclasses.replace(random_model(1, (64, 4, 10)), input_shape=(8, 8, 1)), path)
    parts = Comparison(1, 1, 1, 0, ""), Comparison(1, 1, 1, 1, "layer 0")
    verified = "signbit.codegen.commands.verify.verify_sets"
    monkeypatch.setattr(verified, lambda model, plan, sets, machine: dict(zip(sets, parts, strict=True)))
    assert codegen("verify", path, "--data", "digits") == 1
    assert "DIFFERENT: 1 value, first in layer 0" in capsys.readouterr().out


def test_verify_takes_only_the_first_inputs_with_limit(tmp_path, capsys):
    model = dataclasses.replace(random_model(1, (64, 6, 10)), input_shape=(8, 8, 1))
    save(model, tmp_path / "digits.npz")
    assert codegen("verify", tmp_path / "digits.npz", "--data", "digits", "--limit", 7) == 0
    assert "digits test set: 7 inputs, 126 values compared" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_verify_compares_a_cores_header_by_its_plain_c(target, tmp_path, capsys):
    """It used to stop at the header's own #error for another core."""
    model = dataclasses.replace(random_model(1, (64, 40, 10)), input_shape=(8, 8, 1))
    save(model, tmp_path / "digits.npz")
    assert codegen("verify", tmp_path / "digits.npz", "--data", "digits", "--target", target) == 0
    text = capsys.readouterr().out
    assert text.count("C == Python") == 2 and f"plain C of the kernels for {target}" in text


BAD_CALLS = {
    "unknown command": (["burn"], "there are export, inspect"),
    "missing model": (["inspect", "nowhere.npz"], "nowhere.npz: No such file"),
    "folder as model": (["inspect", "."], "is a folder; name a file"),
    "bad prefix": (["export", "MODEL", "-o", "m.h", "--prefix", "3d"], "prefix '3d'"),
    "hostile prefix": (["export", "MODEL", "-o", "m.h", "--prefix", "a;int x"], "prefix 'a;int x'"),
    "too many vectors": (
        ["export", "MODEL", "-o", "m.h", "--test-vectors", "999"],
        "is not a whole number from 0 to 256",
    ),
    "vectors not a number": (
        ["export", "MODEL", "-o", "m.h", "--test-vectors", "x"],
        "is not a whole number from 0 to 256",
    ),
    "no folder": (["export", "MODEL", "-o", "nowhere/m.h"], "nowhere/m.h: No such file"),
    "no data set": (["verify", "MODEL"], "name a data set with --data"),
    "unknown data set": (["verify", "MODEL", "--data", "cats"], "'cats' is unknown"),
    "other shape": (["verify", "MODEL", "--data", "digits"], "the model takes"),
    "no compiler": (["verify", "MODEL", "--data", "digits", "--cc", "nocc"], "'nocc' was not found"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_call_is_one_line_and_exit_code_2(case, model_path, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD_CALLS[case]
    assert codegen(*["model.npz" if word == "MODEL" else word for word in arguments]) == 2
    assert words in one_error_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_text_file_as_model_is_one_line(tmp_path, capsys):
    (tmp_path / "model.npz").write_text("hello")
    assert codegen("inspect", tmp_path / "model.npz") == 2
    assert "not a signbit model file" in one_error_line(capsys)


def test_read_only_folder_leaves_nothing(model_path, tmp_path, capsys):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root writes everywhere; a path below a file is refused to everybody
        folder.rmdir()
        folder.write_text("a file")
    assert codegen("export", model_path, "-o", folder / "m.h") == 2
    assert str(folder) in one_error_line(capsys)


def test_full_disk_keeps_the_old_header(model_path, tmp_path):
    """A file-size limit stands in for the full disk."""
    header = tmp_path / "m.h"
    header.write_text("old")
    done = subprocess.run(
        [sys.executable, "-m", "codegen", "export", str(model_path), "-o", str(header)],
        capture_output=True,
        text=True,
        # a measurement of what is run would write, too
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: [^\n]*File too large\n", done.stderr)
    assert header.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h", "model.npz"]


@given(st.text(max_size=30))
def test_string_literal_gives_back_the_text_and_nothing_else(text):
    literal = string_literal(text.encode("utf-8", "ignore").decode())
    assert re.fullmatch(r'"(?:[A-Za-z0-9 .,:;+=_()<>/*-]|\\[0-3][0-7]{2})*"', literal)
    octets = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), literal[1:-1].encode())
    assert octets.decode() == text.encode("utf-8", "ignore").decode()


@given(st.text(max_size=40))
def test_prefix_is_an_identifier_or_refused(text):
    try:
        prefix = check_prefix(text)
    except SignbitError:
        return
    assert prefix == text and re.fullmatch(r"[a-z][a-z0-9_]*", prefix, re.ASCII) and prefix.isascii()


HOSTILE = ['"); system("x', "*/ int evil; /*", "??/", "\\", "\n#include <x>", "\x00", "ü 🐦", "%s%n", "// x \\"]


def test_hostile_labels_compile_and_come_back(tmp_path):
    labels = tuple(HOSTILE)
    model = dataclasses.replace(random_model(1, (10, len(labels))), labels=labels, provenance={"x": "*/ #error"})
    (tmp_path / "m.h").write_text(header_text(make_plan(model, "m")))
    (tmp_path / "m.c").write_text(
        '#include "m.h"\n#include <stdio.h>\n#include <string.h>\n#define M_IMPLEMENTATION\n#include "m.h"\n'
        "int main(void) { unsigned i; for (i = 0; i <= M_OUTPUT_SIZE; i++) "
        "{ fwrite(m_label(i), 1, strlen(m_label(i)) + 1, stdout); } return 0; }\n"
    )
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "-o", str(tmp_path / "m"), str(tmp_path / "m.c")], check=True)
    output = subprocess.run([str(tmp_path / "m")], check=True, capture_output=True).stdout
    # a NUL inside a label ends the C string; everything before it is kept
    expected = b"".join(label.encode().split(b"\0")[0] + b"\0" for label in labels) + b"\0"
    assert output == expected


def test_accuracy_in_the_banner_is_numbers_only():
    record = {"accuracy": {"test": {"integer_correct": "*/ evil", "count": 10}}}
    model = dataclasses.replace(random_model(1, (10, 3)), provenance=record)
    assert "evil" not in header_text(make_plan(model))


@pytest.mark.parametrize(
    ("correct", "count", "line"),
    [(39, 40, " * accuracy   97.50 % of 40 test inputs\n"), (41, 40, ""), (-1, 40, ""), (0, 0, ""), (None, 9, "")],
)
def test_banner_has_the_recorded_accuracy_if_it_can_be_one(correct, count, line):
    record = {"accuracy": {"test": {"integer_correct": correct, "count": count}}}
    text = header_text(make_plan(dataclasses.replace(random_model(1, (10, 3)), provenance=record)))
    assert "".join(re.findall(r"^ \* accuracy .*\n", text, re.MULTILINE)) == line


def test_version_is_printed(capsys):
    assert codegen("--version") == 0
    assert re.fullmatch(r"signbit \d+\.\d+\.\d+\n", capsys.readouterr().out)


# --- what to feed


def described(repository, columns, lsb):
    model = load(repository / "tests/fixtures/version1_counts.npz")
    record = {"data": {"columns": columns, "lsb": lsb}}
    return dataclasses.replace(model, provenance=record)


def channel_count(repository):
    return load(repository / "tests/fixtures/version1_counts.npz").input_shape[-1]


def test_header_says_what_to_feed(repository, tmp_path):
    """Names and units are data behind a macro; comments hold numbers alone."""
    hostile = 'a"\\ */ ??/ \n#error [m/s²]'
    names = [hostile, *(f"c{number} (g)" for number in range(1, channel_count(repository)))]
    plan = make_plan(described(repository, names, {names[1]: 0.000061}), "m")
    text = header_text(plan)
    for comment in re.findall(r"/\*.*?\*/", text, re.DOTALL):
        assert "#error" not in comment and "c1" not in comment
    (tmp_path / "m.h").write_text(text)
    (tmp_path / "m.c").write_text(
        '#define M_IMPLEMENTATION\n#define M_DESCRIBE_INPUTS\n#include "m.h"\n#include <stdio.h>\n'
        "int main(void) { unsigned i; for (i = 0; m_channel(i); i++)"
        ' printf("%s\\n%s\\n%s\\n", m_channel(i)->name, m_channel(i)->unit, m_channel(i)->lsb);'
        " return i != M_CHANNELS; }\n"
    )
    subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "m.c", "-o", "m"], check=True, cwd=tmp_path
    )
    done = subprocess.run([tmp_path / "m"], check=True, capture_output=True)
    found = done.stdout.decode()
    assert found.startswith(f"{hostile}\nm/s²\n1\n{names[1]}\ng\n6.1e-05\n")


def test_older_models_say_among_the_options_what_a_count_is_worth(repository):
    """Their headers said 1."""
    model = load(repository / "models" / "activity-600.npz")
    data = {"columns": list("abcdef"), "options": {"lsb": {"": 6.1e-05}}}
    plan = make_plan(dataclasses.replace(model, provenance={"data": data}))
    assert [channel.lsb for channel in plan.input.described] == ["6.1e-05"] * 6


@pytest.mark.parametrize(
    ("columns", "lsb"), [("abc", {}), (["a"] * 99, {}), (None, []), ([1, 2, 3], {}), (["\ud800"] * 3, {})], ids=repr
)
def test_a_header_without_a_description_of_its_inputs_has_none(repository, columns, lsb):
    plan = make_plan(described(repository, columns, lsb), "m")
    text = header_text(plan)
    assert plan.input.described == () and "DESCRIBE_INPUTS" not in text and "M_CHANNELS" not in text


def test_inspect_shows_what_to_feed(repository, tmp_path, capsys):
    names = [f"c{number} [g]\x1b" for number in range(channel_count(repository))]
    save(described(repository, names, {names[0]: 0.25}), tmp_path / "m.npz")
    assert run_command(main, ["inspect", str(tmp_path / "m.npz")]) == 0
    assert "input 0   c0 [g]?, a count is worth 0.25" in capsys.readouterr().out
    assert run_command(main, ["inspect", str(tmp_path / "m.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"][0]["lsb"] == "0.25"


def test_inspect_counts_test_vectors(model_path, capsys):
    """Inputs of 40 bytes with 3 logits each; without the option there are none."""
    assert codegen("inspect", model_path, "--test-vectors", 4) == 0
    assert f"test      {4 * (40 + 3 * 4)} bytes of flash more for 4 test vectors\n" in capsys.readouterr().out
    assert codegen("inspect", model_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["test_vector_bytes"] == 0


@pytest.mark.parametrize("kind", ["arduino", "cmake"])
def test_examples_of_packages_feed_counts(repository, kind):
    counts, plain = (
        b"\n".join(package_files(kind, model, make_plan(model, "m"), Publication()).values()).decode()
        for model in (load(repository / "tests/fixtures" / name) for name in ("version1_counts.npz", "version1.npz"))
    )
    assert (
        "counts[M_COUNTS_SIZE];\n" in counts
        and "m_quantize_input(counts, input);\n" in counts
        and "m_quantize_input" not in plain
    )

"""A core from PyPI alone: the core's own code in Unicorn against Python, and its instructions against QEMU's."""

import json
import re

import pytest

from signbit.codegen import bare_metal, emulated_core, program
from signbit.codegen import verify as comparison
from signbit.codegen.commands.cli import main as codegen
from signbit.codegen.emulated_core import CORES, EmulatedCore, Execution, missing
from signbit.codegen.kernels.targets import ARM, TARGETS
from signbit.codegen.plan import make_plan
from signbit.codegen.process import output_of
from signbit.codegen.program import write_program
from signbit.codegen.verify import compare_all, edge_samples, verify, verify_input, verify_stream
from signbit.emulate import machines
from signbit.qmodel.command import run_command
from signbit.qmodel.data.named import load_dataset
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load
from signbit.qmodel.input_quantization import Affine
from tests.c_programs import inputs_for, plans_for
from tools.cores import emulated as qemu
from tools.networks.random import FRONT_ENDS, front_end_model, random_model, random_network, with_counts

M3, M4 = TARGETS["cortex-m3"], TARGETS["cortex-m4"]
NETWORKS, INPUTS = 8, 4
ON_QEMU = {"cortex-m0": qemu.LARGE_M0, **{f"cortex-{core}": machines.CORES[core] for core in ("m3", "m4", "m7")}}
"""QEMU's machines with the memory map that the programs here are linked for."""


@pytest.fixture(autouse=True)
def packages_are_here():
    if reason := missing(M4):
        pytest.skip(reason)


@pytest.fixture
def digits_mlp(repository):
    return load(repository / "models" / "digits-mlp.npz")


@pytest.mark.parametrize("name", CORES)
def test_random_networks_give_the_values_of_python(name):
    models = [random_network(seed) for seed in range(NETWORKS)]
    inputs = [inputs_for(model, INPUTS, seed) for seed, model in enumerate(models)]
    output = EmulatedCore(TARGETS[name]).run(plans_for(models, target=name), inputs)
    assert [result.first for result in compare_all(models, inputs, output) if not result.equal] == []


def test_front_ends_streams_and_counts_give_the_values_of_python(monkeypatch):
    monkeypatch.setattr(comparison, "SWEEP_VALUES", 1 << 12)
    core = EmulatedCore(M4)
    model = front_end_model(1, *FRONT_ENDS[1])
    result = verify(model, make_plan(model, target=M4.name), edge_samples(model)[::8], core)
    assert result.equal, result.first
    result = verify_stream(model, make_plan(model, target=M4.name), core)
    assert result.equal and result.values > 600, result.first
    counted = with_counts(random_model(3, (30, 5)), 3, Affine)
    result = verify_input(counted, make_plan(counted, target=M4.name), core)
    assert result.equal and result.values > 4000, result.first


@pytest.mark.parametrize("name", ON_QEMU)
def test_instructions_are_those_that_qemu_counts(name, repository, tmp_path):
    """Both run the same file: every layer of a convolution and a dense network, and what both write, byte for byte."""
    if reason := ON_QEMU[name].missing():
        pytest.skip(reason)
    models = [load(repository / "models" / f"digits-{kind}.npz") for kind in ("mlp", "conv")]
    inputs = [load_dataset("digits").test.x[:3]] * 2
    source = write_program(tmp_path, plans_for(models, target=name), 3, offset_bytes=0, predict=False)
    elf = tmp_path / "program.elf"
    EmulatedCore(TARGETS[name]).build(source, elf, "-O2")
    octets = b"".join(x.tobytes() for x in inputs)
    here = Execution(elf, TARGETS[name], octets, count=True)
    here.go_on()
    there = qemu.execute(elf, ON_QEMU[name], octets, count=True)
    assert here.output == there.output
    assert here.instructions == there.instructions
    assert len(here.instructions) == 3 * (3 + len(models[1].layers) + 1)


def test_an_m33_counts_what_qemu_counts(digits_mlp):
    """QEMU's M33 has another memory map: the same program by the same compiler, linked for each."""
    if reason := qemu.missing(["m33"]):
        pytest.skip(reason)
    plan, x = make_plan(digits_mlp, "m", "cortex-m33"), load_dataset("digits").test.x[:3]
    here = EmulatedCore(TARGETS["cortex-m33"], [ARM.compiler]).count(plan, x)
    assert here == qemu.run([plan], [x], "m33", offset=0, count=True).instructions


# -- what must fail ----------------------------------------------------------------------------------------------------


class Spoiled(EmulatedCore):
    """Flips a bit of the image: `flip` gets its bytes."""

    flip = staticmethod(lambda image: None)

    def build(self, source, elf, level):
        super().build(source, elf, level)
        image = bytearray(elf.read_bytes())
        self.flip(image)
        elf.write_bytes(image)


def test_one_flipped_weight_is_found(digits_mlp, monkeypatch):
    plan = make_plan(digits_mlp, target=M4.name)
    weights = plan.layers[0].arrays[0].values

    def flip(image):
        packed = weights.astype("<u4").tobytes()
        assert image.count(packed) == 1
        image[image.index(packed) + 5] ^= 0x10

    monkeypatch.setattr(Spoiled, "flip", staticmethod(flip))
    result = verify(digits_mlp, plan, load_dataset("digits").test.x, Spoiled(M4))
    assert not result.equal and result.first.startswith("layer 0, input ")


def test_one_other_instruction_is_found(digits_mlp, monkeypatch):
    plan, x = make_plan(digits_mlp, target="cortex-m3"), load_dataset("digits").test.x[:20]
    text_of = program.header_text
    monkeypatch.setattr(
        program, "header_text", lambda plan: text_of(plan).replace("add  r9, r5, r8", "sub  r9, r5, r8", 1)
    )
    assert not verify(digits_mlp, plan, x, EmulatedCore(M3)).equal


def run_c(folder, text, target=M3):
    source, elf = folder / "main.c", folder / "main.elf"
    source.write_text(f"int main(void) {{ {text} }}\n")
    core = EmulatedCore(target)
    core.build(source, elf, "-O1")
    execution = Execution(elf, target, b"")
    execution.go_on()
    return execution


def test_the_stack_is_as_large_as_was_said_and_aligned_for_calls(tmp_path):
    """To 8 bytes at its end, as the procedure call standard asks; all of it is there."""
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    EmulatedCore(M3).build(tmp_path / "main.c", tmp_path / "own.elf", "-O1")
    sizes = {"own.elf": emulated_core.STACK_BYTES}
    if not machines.missing(["m3"]):
        machines.build(machines.MACHINES["m3"], [tmp_path / "main.c"], tmp_path / "qemu.elf", *M3.flags)
        sizes["qemu.elf"] = bare_metal.STACK_BYTES
    for name, stack_bytes in sizes.items():
        symbols = output_of(["nm", tmp_path / name])
        place = {symbol: int(at, 16) for at, symbol in re.findall(r"^(\w+) \w (stack_\w+)$", symbols, re.MULTILINE)}
        assert place["stack_top"] - place["stack_limit"] == stack_bytes
        assert place["stack_top"] % 8 == place["stack_limit"] % 8 == 0


FILL = "for (int i = 0; i < 9000; i++) { a[i] = 1; }"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return *(volatile int *)0x60000000;", r"Cortex-M3: the program stopped at 0x[0-9a-f]+: Invalid memory read"),
        ("return 7;", "Cortex-M3: the program ended with code 7"),
        ('__asm volatile("udf #0"); return 0;', r"Cortex-M3: "),
        (
            "volatile char a[9000]; for (int i = 0; i < 9000; i++) { a[i] = 1; } return a[9] - 1;",
            "Cortex-M3: the program stopped at .*memory write",
        ),
        ('__asm volatile("mov r0, #9 \\n bkpt 0xab"); return 0;', "operation 0x9 of semihosting is unknown"),
    ],
    ids=["wild read", "exit code", "undefined instruction", "stack overflow", "unknown operation"],
)
def test_a_program_that_ends_badly_is_one_line(tmp_path, text, message):
    with pytest.raises(SignbitError, match=message) as ended:
        run_c(tmp_path, text)
    assert "\n" not in str(ended.value)


def test_a_program_without_an_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(emulated_core, "SILENCE_S", 1)
    with pytest.raises(SignbitError, match="Cortex-M3: the program wrote nothing for 1 s"):
        run_c(tmp_path, 'for (;;) { __asm volatile(""); }')


def test_a_counter_that_is_wrong_is_no_figure(digits_mlp, monkeypatch):
    monkeypatch.setattr(emulated_core, "LONG", 0xF800)
    plan = make_plan(digits_mlp, target=M4.name)
    with pytest.raises(SignbitError, match=r"the counter reads .* where .* is known"):
        EmulatedCore(M4).count(plan, load_dataset("digits").test.x[:1])


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(repository, capsys):
    def run(*options):
        code = run_command(codegen, ["verify", str(repository / "models" / "digits-mlp.npz"), *options])
        return code, *capsys.readouterr()

    return run


def test_verify_runs_the_core_s_own_code(run):
    code, out, err = run("--target", "cortex-m4", "--emulate", "--limit", "5")
    assert (code, err, out.count("C == Python")) == (0, "", 2)
    numbers = [int(text.replace(",", "")) for text in re.findall(r"[\d,]*\d", out.splitlines()[-1])]
    total, *layers = numbers
    assert total == layers[1] + layers[3] + layers[4] > 1000


def test_verify_as_json(run):
    code, out, _ = run("--target", "cortex-m0", "--emulate", "--limit", "2", "--json")
    assert code == 0
    assert list(json.loads(out)["instructions"]) == ["layer 0", "layer 1", "rest"]


def test_a_difference_is_the_exit_code(run, monkeypatch):
    text_of = program.header_text
    monkeypatch.setattr(
        program, "header_text", lambda plan: text_of(plan).replace("add  r9, r5, r8", "sub  r9, r5, r8", 1)
    )
    code, out, _ = run("--target", "cortex-m3", "--emulate", "--limit", "5")
    assert code == 1 and "DIFFERENT: " in out


def test_what_can_t_run_is_not_run(run, monkeypatch):
    assert run("--target", "cortex-m55", "--emulate") == (
        3,
        "NOT RUN: Unicorn has no Cortex-M55; QEMU has: signbit emulate --cores m55\n",
        "",
    )
    monkeypatch.setattr(emulated_core.importlib.util, "find_spec", lambda name: None if name == "elftools" else True)
    code, out, _ = run("--target", "cortex-m4", "--emulate", "--json")
    assert code == 3
    assert json.loads(out) == {"not_run": "pyelftools missing: pip install 'signbit[cross]'"}


def test_a_core_has_to_be_named(run):
    code, out, err = run("--emulate")
    assert (code, out) == (2, "") and err.count("\n") == 1 and "--target" in err
    code, out, err = run("--target", "cortex-m4", "--emulate", "--cc", "no-such-cc")
    assert (code, out) == (2, "") and "'no-such-cc' was not found" in err

"""firmware/ as a PlatformIO project: every environment builds, and stays built while nothing changes."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from signbit import __version__
from signbit.codegen.kernels.targets import ARM
from signbit.codegen.measure import measure
from signbit.codegen.plan import make_plan
from signbit.emulate import pio
from signbit.emulate.machines import MACHINES
from signbit.emulate.project import Project
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.file import load, save
from tools.documents.blocks import block
from tools.measure import firmware_sizes
from tools.networks.random import random_model

FLASH_BASES = {"nrf52840_dk": 0, "bbcmicrobit": 0, "pico": 0x10000000, "qemu_m33": 0x10000000} | {
    f"qemu_{core}": 0 for core in ("m0", "m3", "m4", "m7", "m55")
}
STM32_FLASH = 0x08000000
STOCK_PLATFORMS = {"ststm32", "nordicnrf51", "nordicnrf52"}


@pytest.fixture(scope="module", autouse=True)
def tools_are_here():
    reason = pio.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def project(repository):
    return Project(repository / "firmware")


@pytest.fixture(scope="module")
def local_envs(project):
    return project.local_envs()


@pytest.fixture(scope="module")
def stock_envs(project):
    """Environments on PlatformIO's own platforms, and the platform of each."""
    envs = {}
    for section in project.sections:
        platform = project.option(section, "platform") if section.startswith("env:") else None
        if platform in STOCK_PLATFORMS:
            envs[section.removeprefix("env:")] = platform
    assert set(envs.values()) == STOCK_PLATFORMS
    return envs


@pytest.fixture(scope="module")
def model_path(repository):
    return repository / "models" / "digits-mlp.npz"


@pytest.fixture(scope="module")
def m4_elf(model_path, tmp_path_factory):
    """In a folder of its own, which may be built again."""
    return pio.build(["qemu_m4"], model_path, tmp_path_factory.mktemp("build"))["qemu_m4"]


def test_every_local_environment_builds(digits_elfs, local_envs):
    assert len(local_envs) == 2 * len(MACHINES) + 11
    assert all(digits_elfs[env].is_file() for env in local_envs)


def test_every_environment_is_a_local_a_stock_or_a_test_one(project, local_envs, stock_envs):
    envs = [name.removeprefix("env:") for name in project.sections if name.startswith("env:")]
    tests = [f"test_{core}" for core in MACHINES]
    assert sorted(envs) == sorted([*local_envs, *stock_envs, *tests])


def test_every_image_stands_where_its_core_starts(digits_elfs):
    for env, elf in digits_elfs.items():
        base = FLASH_BASES.get(env.removesuffix("_batch").removesuffix("_local"), STM32_FLASH)
        done = subprocess.run(["arm-none-eabi-readelf", "-lW", elf], capture_output=True, text=True, check=True)
        loads = [line.split() for line in done.stdout.splitlines() if line.lstrip().startswith("LOAD")]
        assert min(int(words[3], 16) for words in loads) == base, env


def test_the_image_is_the_model_and_little_else(digits_elfs, model_path):
    """The model as compiled alone for its core, 4 KiB of firmware, and 1 KiB of labels and test vectors at most."""
    model = load(model_path)
    alone = {}
    for env, elf in digits_elfs.items():
        header = (elf.parent / "generated" / "model.h").read_text()
        target = re.search(r"--target (\S+)", header)[1]
        if target not in alone:
            plan = make_plan(model, target=target)
            alone[target] = measure(plan).flash_bytes, plan.scratch_bytes + model.input_size
        model_flash_bytes, model_ram_bytes = alone[target]
        size = pio.size(elf)
        assert size.stack_bytes == 1024
        assert size.flash_bytes < model_flash_bytes + 4096 + 1024, env
        assert size.ram_bytes < model_ram_bytes + (1536 if env.endswith("_batch") else 512), env


def test_no_library_but_libgcc_is_needed(digits_elfs):
    for elf in digits_elfs.values():
        symbols = subprocess.run(["arm-none-eabi-nm", elf], capture_output=True, text=True, check=True).stdout
        assert not re.findall(r" [Uw] ", symbols)
        assert not re.findall(r" [tT] (?:malloc|printf|memcpy|_sbrk|__libc_init_array)$", symbols, re.MULTILINE)


def test_a_build_without_changes_changes_nothing(digits_elfs, model_path):
    elf = digits_elfs["qemu_m3"]
    header = elf.parent / "generated" / "model.h"
    before = header.stat().st_mtime_ns, elf.stat().st_mtime_ns
    pio.build(["qemu_m3"], model_path, elf.parent.parent)
    assert (header.stat().st_mtime_ns, elf.stat().st_mtime_ns) == before


def test_another_model_is_built_at_once(m4_elf, model_path, tmp_path):
    header = m4_elf.parent / "generated" / "model.h"
    other = dataclasses.replace(load(model_path), labels=tuple("abcdefghij"))
    save(other, tmp_path / "other.npz")
    pio.build(["qemu_m4"], tmp_path / "other.npz", m4_elf.parent.parent)
    assert other.hash in header.read_text()
    assert other.hash.encode() in m4_elf.read_bytes()


def test_how_many_test_vectors_it_carries_is_an_option(m4_elf, model_path, monkeypatch):
    monkeypatch.setenv("SIGNBIT_TEST_VECTORS", "0")
    pio.build(["qemu_m4"], model_path, m4_elf.parent.parent)
    assert "#define MODEL_TEST_VECTORS 0\n" in (m4_elf.parent / "generated" / "model.h").read_text()
    monkeypatch.setenv("SIGNBIT_TEST_VECTORS", "many")
    with pytest.raises(SignbitError, match="--test-vectors"):
        pio.build(["qemu_m4"], model_path, m4_elf.parent.parent)


def test_two_builds_in_one_folder_wait_for_each_other(monkeypatch, tmp_path):
    running, most = [], []

    def run(arguments, **_):
        running.append(arguments)
        most.append(len(running))
        time.sleep(0.05)
        running.remove(arguments)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(pio.subprocess, "run", run)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda env: pio.build([env], None, tmp_path), ("qemu_m0", "qemu_m3", "qemu_m4", "qemu_m7")))
    assert most == [1, 1, 1, 1]


@pytest.mark.parametrize("content, reason", [(None, "No such file"), (b"PK no archive", "not a signbit model file")])
def test_a_bad_model_fails_the_build_with_one_line(content, reason, tmp_path):
    model = tmp_path / "bad.npz"
    if content:
        model.write_bytes(content)
    with pytest.raises(SignbitError, match=rf"^\S+bad\.npz: {reason}[^\n]*$"):
        pio.build(["qemu_m3"], model, tmp_path / "build")
    assert not (tmp_path / "build" / "qemu_m3" / "generated").exists()


def test_a_model_that_a_board_can_not_hold_is_that_error(tmp_path):
    """Four test vectors of 60,000 bytes, and 256 KB of flash."""
    save(random_model(1, (60_000, 2)), tmp_path / "wide.npz")
    with pytest.raises(pio.DoesNotFit, match=r"^section .* will not fit in region .FLASH.$"):
        pio.build(["qemu_m0"], tmp_path / "wide.npz", tmp_path / "build")


def test_the_link_fails_when_the_stack_does_not_fit(digits_elfs, tmp_path):
    """One byte less than what is used is one too few."""
    objects = sorted((digits_elfs["qemu_m0"].parent / "src").rglob("*.o"))
    ram_bytes = 16 * 1024
    free = ram_bytes - pio.size(digits_elfs["qemu_m0"]).ram_bytes
    assert _link(objects, tmp_path, free & ~7) == ""
    assert "RAM" in _link(objects, tmp_path, (free & ~7) + 8)
    assert "at least 512 bytes" in _link(objects, tmp_path, 504)


def _link(objects, folder, stack_bytes) -> str:
    """What the linker says to a stack of `stack_bytes` on the nRF51."""
    flags = [f"-L{pio.FIRMWARE / 'ld'}", "-Tnrf51822.ld", f"-Wl,--defsym=STACK_BYTES={stack_bytes}", "-lgcc"]
    command = [ARM.compiler, "-mcpu=cortex-m0", "-mthumb", "-nostdlib", "-Wl,--gc-sections"]
    done = subprocess.run(
        [*command, *objects, *flags, "-o", folder / "out.elf"], capture_output=True, text=True, check=False
    )
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def test_stock_and_local_environments_differ_in_the_platform_only(project, stock_envs):
    for board in stock_envs:
        stock, local = (dict(project.sections[f"env:{env}"]) for env in (board, f"{board}_local"))
        assert local == {"extends": f"local, {board}"}
        platform = stock.pop("extends").removesuffix(f", {board}")
        assert not stock and dict(project.sections[platform]).keys() == {"extends", "platform"}
    assert dict(project.sections["local"]).keys() == {"platform"}
    assert dict(project.sections["stock"]).keys() == {"platform_packages"}


def test_stock_environments_build_where_their_platform_is(stock_envs, tmp_path):
    installed = {json.loads(path.read_text()).get("name") for path in pio.CORE_DIR.glob("platforms/*/platform.json")}
    missing = STOCK_PLATFORMS - installed
    for platform in sorted(missing):
        # not a skip: their platform comes from PlatformIO's registry, and no set-up of ours installs it
        envs = [env for env, needed in stock_envs.items() if needed == platform]
        install = f"python -m signbit.emulate.pio pkg install -g -p {platform}"
        warnings.warn(f"NOT RUN: {', '.join(envs)}: {platform} is not installed: {install}", stacklevel=1)
        assert envs
    here = [env for env, platform in stock_envs.items() if platform not in missing]
    assert all(elf.is_file() for elf in pio.build(here, build_dir=tmp_path).values()) if here else missing


def test_the_firmware_tells_the_project_s_version(repository):
    source = (repository / "firmware" / "src" / "device.c").read_text()
    assert f'#define FIRMWARE_VERSION "{__version__}"' in source
    assert f'"version": "{__version__}"' in (repository / "firmware" / "platform" / "platform.json").read_text()


def test_a_board_file_has_the_memory_of_its_linker_script(repository, project):
    """PlatformIO's percentages come from the one, the linker's bars from the other."""
    units = {"K": 1024, "M": 1024 * 1024}
    boards = project.boards()
    for name, board in boards.items():
        text = (repository / "firmware" / project.option(name, "board_build.ldscript")).read_text()
        flash, ram = (int(number) * units[unit] for number, unit in re.findall(r"LENGTH = (\d+)([KM])", text))
        assert (board["upload"]["maximum_size"], board["upload"]["maximum_ram_size"]) == (flash, ram), name


def test_a_board_is_one_name_in_three_places(project):
    """Its file for PlatformIO, its environments, and a clock that is the same in both where the port is told it."""
    assert {path.stem for path in (project.firmware / "boards").glob("*.ini")} == set(project.boards())
    for name, board in project.boards().items():
        assert project.option(name, "board") == name
        told = re.findall(r"_CLOCK_HZ=(\d+)u", project.option(name, "build_flags") or "")
        assert told in ([], [board["build"]["f_cpu"].removesuffix("L")]), name


def test_the_sizes_are_those_of_every_board(digits_elfs, model_path, project, monkeypatch):
    monkeypatch.setattr(
        pio, "build", lambda envs, model: {env: digits_elfs[env] for env in envs if model == model_path}
    )
    figures = firmware_sizes.measure(model_path)
    boards = [name for name in project.local_envs() if not name.endswith("_batch")]
    assert [entry["env"] for entry in figures] == boards
    for entry in figures:
        assert 4096 < entry["flash_bytes"] < entry["part_flash_bytes"]
        assert entry["ram_bytes"] + entry["stack_bytes"] < entry["part_ram_bytes"]
        assert 300 < entry["stack_bound_bytes"] < entry["stack_bytes"]


def test_the_table_of_sizes_is_that_of_the_file(stock_envs):
    entries = json.loads(firmware_sizes.FIGURES.read_text())
    table = firmware_sizes.table(entries)
    assert block(firmware_sizes.BLOCK) == table
    # below heading and rule: every board that PlatformIO knows, and the Pico
    assert len(table.splitlines()) == 2 + len(stock_envs) + 1


def test_pio_passes_arguments_through(repository):
    done = subprocess.run(
        [sys.executable, "-m", "signbit.emulate.pio", "project", "config"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "env:qemu_m55_batch" in done.stdout


def test_a_python_without_signbit_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNBIT_PYTHON", "/bin/false")
    with pytest.raises(SignbitError, match=r"signbit does not run.*SIGNBIT_PYTHON"):
        pio.build(["qemu_m3"], build_dir=tmp_path)


def test_missing_tools_are_named_with_the_line_that_installs_them(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert pio.missing() == "arm-none-eabi-gcc is missing: apt install --no-install-recommends gcc-arm-none-eabi"

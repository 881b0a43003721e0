"""Shared fixtures; and in CI a skipped test is a failed one."""

import os
import shutil

# one BLAS thread is fastest for matrices this small, and has to be asked for before numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# scikit-learn's checks of estimators ask for it before scipy is imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# tables are whole, however wide the window is that the tests are started in
os.environ.pop("COLUMNS", None)

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from signbit.emulate import pio
from signbit.emulate.project import Project
from signbit.qmodel.command import run_command
from signbit.qmodel.data.mnist import DATA_DIR_VARIABLE
from signbit.qmodel.data.named import load_dataset
from signbit.trainer.command.cli import main
from tests.host_device import HostDevice, device_model, load_device

REQUIRE_TOOLS = "SIGNBIT_REQUIRE_TOOLS"
LONG = {"data_docs", "emulated", "firmware", "pio_check", "proofs", "site", "tutorial", "zoo"}
"""Files with tests of ten seconds and more."""

# no test fails because the computer is slow
settings.register_profile(
    "signbit", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("signbit")


def is_worker(config) -> bool:
    """Whether this process is one of several that share the tests; those that it starts inherit the environment."""
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config, items):
    """Files of long tests first, so that no worker of xdist ends with one while the others have nothing left to do."""
    if is_worker(config):
        items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get(REQUIRE_TOOLS) and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which {REQUIRE_TOOLS} does not allow: {report.longrepr[2]}"
    return report


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mnist():
    if not os.environ.get(DATA_DIR_VARIABLE):
        pytest.skip(f"MNIST is not here: set {DATA_DIR_VARIABLE} to the folder that holds mnist/")
    return load_dataset("mnist")


@pytest.fixture(scope="session")
def digits():
    return load_dataset("digits")


@pytest.fixture
def trainer(capsys):
    """Runs `python -m trainer` in this process; gives exit code, stdout and stderr."""

    def call(*arguments):
        code = run_command(main, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def parts(tmp_path):
    """Writes a file of own data and gives its path: parts("a,b\\n1,x\\n")."""

    def write(content, name="parts.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# -- the firmware, and its device compiled for this computer -----------------------------------------------------------


@pytest.fixture(scope="module")
def firmware_copy(tmp_path_factory):
    """A copy of firmware/ that may be spoiled, beside links to what generates its header."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(pio.FIRMWARE, root / "firmware", ignore=shutil.ignore_patterns(".pio"))
    for name in ("signbit", "models"):
        (root / name).symlink_to(pio.FIRMWARE.parent / name)
    with pytest.MonkeyPatch.context() as patch:
        # PlatformIO keeps one link to a platform of that name
        patch.setattr(pio, "CORE_DIR", root / "core")
        yield root / "firmware"


@pytest.fixture(scope="session")
def digits_elfs(repository, tmp_path_factory, pytestconfig):
    """The firmware of the digits model in every local environment, built from nothing, once for all of xdist's workers:
    looking for changes takes PlatformIO as long as building."""
    if pio.missing():
        pytest.skip(pio.missing())
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if is_worker(pytestconfig) else folder) / "digits_elfs"
    envs, built = Project(pio.FIRMWARE).local_envs(), folder / "built"
    with pio._alone_in(folder):
        if not built.exists():
            pio.build(envs, repository / "models" / "digits-mlp.npz", folder / "build")
            built.touch()
    return {env: folder / "build" / env / "firmware.elf" for env in envs}


@pytest.fixture(scope="session")
def host_model():
    return device_model()


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return load_device(tmp_path_factory.mktemp("device"))


@pytest.fixture
def host_device(host_library):
    return HostDevice(host_library)

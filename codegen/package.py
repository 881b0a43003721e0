"""A model as a library for other people's projects: each format is a table of files and their templates."""

import io
import re
import zipfile
from dataclasses import dataclass, field

from signbit.codegen import core_names
from signbit.codegen.example import Sensor, answer_of
from signbit.codegen.kernels.targets import LEVELS, TARGETS
from signbit.codegen.plan import Plan
from signbit.codegen.publication import Publication
from signbit.codegen.render import header_text, render
from signbit.qmodel.errors import SignbitError
from signbit.qmodel.model import QuantizedModel

HOME = "https://github.com/signbit/signbit"
HEADER = "model.h.j2"
IMPLEMENTATION = "package/implementation.c.j2"
STDIN, BOARD = "package/stdin.c.j2", "package/board.c.j2"
KEYWORDS = ["machine learning", "neural network", "classification", "tinyml", "one-bit"]


@dataclass(frozen=True)
class Format:
    """A kind of library.

    `files` gives the template of each path, in which {name} is the prefix of every C symbol; templates are in the
    format's folder, if they name no other.  `cores` is what the format calls the cores that run a target's code, by the
    target's name; it can't have a target that is not there.
    """

    title: str
    files: dict[str, str]
    cores: dict = field(default_factory=lambda: dict.fromkeys(TARGETS))
    archive: str = ""
    """Path of a zip of all files, if there is one."""


EVERY_FILE = {"README.md": "package/README.md.j2", "LICENSE": "package/LICENSE.j2"}
LIBRARY = {"include/{name}.h": HEADER, "src/{name}.c": IMPLEMENTATION}
FORMATS = {
    "arduino": Format(
        "an Arduino library, of the library specification's format 1.5",
        {
            "library.properties": "library.properties.j2",
            "keywords.txt": "keywords.txt.j2",
            "src/{name}.h": HEADER,
            "src/{name}.c": IMPLEMENTATION,
            "examples/Classify/Classify.ino": "example.ino.j2",
        },
        core_names.ARDUINO,
    ),
    "platformio": Format(
        "a PlatformIO library, for a project's `lib` folder",
        {
            "library.json": "library.json.j2",
            **LIBRARY,
            "examples/classify/platformio.ini": "platformio.ini.j2",
            "examples/classify/src/main.c": BOARD,
        },
    ),
    "cmake": Format(
        "a CMake library, for add_subdirectory or find_package",
        {"CMakeLists.txt": "CMakeLists.txt.j2", **LIBRARY, "example/main.c": STDIN},
    ),
    "zephyr": Format(
        "a Zephyr module with a sample, for the manifest or EXTRA_ZEPHYR_MODULES",
        {
            "zephyr/module.yml": "module.yml.j2",
            "Kconfig": "Kconfig.j2",
            "CMakeLists.txt": "CMakeLists.txt.j2",
            **LIBRARY,
            "samples/classify/CMakeLists.txt": "sample/CMakeLists.txt.j2",
            "samples/classify/prj.conf": "sample/prj.conf.j2",
            "samples/classify/sample.yaml": "sample/sample.yaml.j2",
            "samples/classify/src/main.c": BOARD,
        },
        core_names.ZEPHYR,
    ),
    "esp-idf": Format(
        "an ESP-IDF component with an example project, for a project's `components`",
        {
            "CMakeLists.txt": "CMakeLists.txt.j2",
            "idf_component.yml": "idf_component.yml.j2",
            **LIBRARY,
            "examples/classify/CMakeLists.txt": "example/CMakeLists.txt.j2",
            "examples/classify/main/CMakeLists.txt": "example/main.txt.j2",
            "examples/classify/main/main.c": BOARD,
        },
        core_names.ESP_IDF,
    ),
    "cmsis-pack": Format(
        "a CMSIS-Pack, as Keil, IAR and the CMSIS-Toolbox install it, beside what it holds",
        {"{vendor}.{name}.pdsc": "pdsc.j2", **LIBRARY, "template/main.c": BOARD},
        core_names.CMSIS,
        archive="{vendor}.{name}.{version}.pack",
    ),
    "micropython": Format(
        "a user C module of MicroPython",
        {
            "micropython.mk": "micropython.mk.j2",
            "micropython.cmake": "micropython.cmake.j2",
            "mod{name}.c": "module.c.j2",
            "{name}.c": IMPLEMENTATION,
            "{name}.h": HEADER,
            "example.py": "example.py.j2",
        },
    ),
}


def package_files(kind: str, model: QuantizedModel, plan: Plan, publication: Publication) -> dict[str, bytes]:
    """The files of a package, by their paths in its folder; raises SignbitError where the format can't have the core.

    `plan` is of `model`, and `kind` is one of FORMATS.
    """
    chosen = FORMATS[kind]
    if plan.target.name not in chosen.cores:
        names = ", ".join(chosen.cores)
        raise SignbitError(f"{kind} knows no {plan.target.title}; choose a --target that it knows: {names}")
    sensor = Sensor(plan)
    words = {"name": plan.prefix, "vendor": publication.vendor, "version": publication.version}
    names = {
        "format": kind,
        "publication": publication,
        "home": HOME,
        "keywords": KEYWORDS,
        "sentence": f"A network with one-bit weights: {sensor.quantity} in, {plan.output_size} classes out.",
        "core": chosen.cores[plan.target.name],
        # the ABI is the whole program's, and so is no flag of a library
        "core_flags": [flag for flag in plan.target.flags if not flag.startswith(("-mfloat-abi", "-mabi"))],
        "level": LEVELS[plan.optimize],
        "sensor": sensor,
        "answer": answer_of(model, sensor),
        "api": api_of(plan),
        "archive": chosen.archive.format(**words),
    }
    files = {}
    for path, template in (EVERY_FILE | chosen.files).items():
        place = template if template.startswith("package/") else f"package/{kind}/{template}"
        text = header_text(plan) if template == HEADER else render(place, plan, **names)
        files[path.format(**words)] = text.encode()
    return files | ({names["archive"]: zipped(files)} if chosen.archive else {})


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of files by their paths, the same bytes whenever and wherever it is made."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files.items()):
            info = zipfile.ZipInfo(path)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def api_of(plan: Plan) -> list[tuple[str, str]]:
    """The header's types, functions and constants, each with the Arduino editor's word for its kind."""
    declared = header_text(plan).partition(f"#endif /* {plan.macro_prefix}_H */")[0]
    patterns = {
        "KEYWORD1": rf"\}} ({plan.prefix}_\w+_t);",
        "KEYWORD2": rf"^\S.*?\b({plan.prefix}_\w+)\(.*[;,]$",
        "LITERAL1": rf"^#define ({plan.macro_prefix}_\w+) ",
    }
    return [
        (name, keyword)
        for keyword, pattern in patterns.items()
        for name in dict.fromkeys(re.findall(pattern, declared, re.MULTILINE))
    ]

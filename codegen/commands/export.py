"""`export`: write the header."""

import json
import sys
from pathlib import Path

from signbit.codegen.commands.common import add_plan_options, add_test_vectors, load_plan
from signbit.codegen.measure import measure, missing
from signbit.codegen.names import check_header_name
from signbit.codegen.plan import Plan
from signbit.codegen.render import header_text
from signbit.codegen.report import as_dict
from signbit.codegen.report_page import page_text
from signbit.codegen.run import RunRecord, read_run
from signbit.codegen.sbom import header_bom
from signbit.qmodel.atomic import write_whole
from signbit.qmodel.command import EXIT_DIFFERENT, EXIT_OK, Parser
from signbit.qmodel.errors import SignbitError


def main(arguments: list[str], prog: str) -> int:
    parser = Parser(prog=prog, description="Write a model as one C header.")
    add_plan_options(parser)
    parser.add_argument("-o", "--out", metavar="FILE", required=True, help="header to write; - for stdout")
    add_test_vectors(parser)
    parser.add_argument(
        "--swappable",
        action="store_true",
        help="let models of the same layout take this one's place at run time",
    )
    parser.add_argument("--block", metavar="FILE", help="also write the model's own bytes, for --swappable code")
    parser.add_argument("--report", metavar="FILE", help="also write the plan as FILE.json or FILE.html")
    parser.add_argument("--sbom", metavar="FILE", help="also write the header's bill of materials, CycloneDX JSON")
    parser.add_argument(
        "--run",
        metavar="FOLDER",
        type=Path,
        help="the run that made the model (train --run FOLDER): learning curves and confusion matrix for --report "
        "FILE.html",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if FILE would change")
    options = parser.parse_args(arguments)
    check_header_name(options.out)
    _check_report(options.report, options.run)
    if options.block and not options.swappable:
        raise SignbitError("--block is for code that can swap models; add --swappable")
    _, plan = load_plan(options, options.test_vectors, options.swappable)
    run = read_run(options.run, plan) if options.run else None
    text = header_text(plan).encode()
    if options.check:
        return _check(Path(options.out), text)
    if options.out == "-":
        sys.stdout.buffer.write(text)
        return EXIT_OK
    write_whole(options.out, text)
    if options.block:
        write_whole(options.block, plan.swap.block)
    if options.sbom:
        write_whole(options.sbom, header_bom(plan, Path(options.out).name, text).encode())
    if options.report:
        write_whole(options.report, _report(plan, Path(options.report).suffix, run).encode())
    print(
        f"{options.out}: {plan.data_bytes} bytes of weights and parameters, {plan.scratch_bytes} bytes of scratch, "
        f"{plan.macs} MACs"
    )
    return EXIT_OK


def _check(path: Path, text: bytes) -> int:
    if path.is_file() and path.read_bytes() == text:
        print(f"{path} is up to date")
        return EXIT_OK
    print(f"{path} would change; export it again", file=sys.stderr)
    return EXIT_DIFFERENT


def _check_report(name: str | None, run: Path | None) -> None:
    if name is not None and Path(name).suffix not in (".json", ".html"):
        raise SignbitError(f"--report {name}: the name must end with .json or .html")
    if run is not None and (name is None or Path(name).suffix != ".html"):
        raise SignbitError("--run is for a report; add --report FILE.html")


def _report(plan: Plan, suffix: str, run: RunRecord | None) -> str:
    measured = None if missing(plan) else measure(plan)
    if suffix == ".html":
        return page_text(plan, measured, run)
    return json.dumps(as_dict(plan, measured), indent=2) + "\n"

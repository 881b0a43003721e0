"""The generated C as a product: what a reader of any header may rely on, over all shipped models and targets."""

import re

import pytest

from signbit.codegen import layout
from signbit.codegen.kernels.targets import TARGETS, TWINS
from signbit.codegen.plan import make_plan
from signbit.codegen.render import header_text
from signbit.qmodel.file import load
from tools.networks.random import random_model, random_network

LARGE, FOR_LARGE = "mnist-pi", ("cortex-m0", "cortex-m4")
"""A header of a megabyte is read for two targets only."""

IDLE = re.compile(r"[*/%] 1u?(?![\w.]| <<)|[-+] 0u?(?![\w.])")
LOOP = re.compile(r"for \(\w+ (\w+) = (\d+)u?; \1 < (\d+)u?; \1(?:\+\+| \+= (\d+)u?)\)")
LITERAL = r"\(?-?\d\w*(?: - 1\))?|U?INT\d+_M(?:IN|AX)"
LITERALS_COMPARED = re.compile(rf"ASSERT\(\w+, (?:{LITERAL}) [<>=!]=? (?:{LITERAL})\b")


def faults(text: str) -> list[str]:
    """Lines that no header may have, with what is wrong."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        code = layout.STRINGS_AND_COMMENTS.sub("", line)
        loop = LOOP.search(code)
        wrong = {
            "too long": len(line) > layout.COLUMNS and not line.lstrip().startswith(('"', "#error")),
            "assembly at column 0": line.startswith('"'),
            "an operator that does nothing": IDLE.search(code) and not line.startswith((" *", "/*")),
            "a loop that runs once": loop and len(range(int(loop[2]), int(loop[3]), int(loop[4] or 1))) < 2,
            "literals compared": LITERALS_COMPARED.search(code),
            "trailing blanks": line != line.rstrip(),
        }
        found += [f"line {number}: {fault}: {line.strip()}" for fault, is_there in wrong.items() if is_there]
    return found


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in TWINS])
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_headers_of_shipped_models(target, optimize, repository):
    """Twins choose among the same kernels: random models do for them."""
    for path in sorted((repository / "models").glob("*.npz")):
        if path.stem != LARGE or target in FOR_LARGE:
            plan = make_plan(load(path), target=target, optimize=optimize)
            assert (path.stem, faults(header_text(plan))) == (path.stem, [])


@pytest.mark.parametrize("target", TARGETS)
def test_headers_of_random_models_with_the_longest_prefix(target):
    for seed in range(20):
        plan = make_plan(random_network(seed), prefix="p" * 31, target=target, test_vectors=1)
        # a layer of one neuron or of one channel may have a loop over it
        found = [fault for fault in faults(header_text(plan)) if "runs once" not in fault]
        assert (seed, found) == (seed, [])


FAULTY = {
    "    x = y * 1u;": "an operator that does nothing",
    "    x = y % 1;": "an operator that does nothing",
    "    x = row - 0;": "an operator that does nothing",
    "    for (uint32_t x = 0; x < 1u; x++) {": "a loop that runs once",
    "    for (uint32_t x = 0; x < 2u; x += 2u) {": "a loop that runs once",
    "P_STATIC_ASSERT(fits, -784 >= INT32_MIN && 784 <= INT32_MAX);": "literals compared",
    '"push {r4}\\n"': "assembly at column 0",
    f"/* {'x' * 120} */": "too long",
}


@pytest.mark.parametrize("line", FAULTY)
def test_fault_is_found(line):
    assert faults(line) == [f"line 1: {FAULTY[line]}: {line.strip()}"]


@pytest.mark.parametrize("line", ["x = 1u << n;", "/* a * 1u */", "mask = 0x0f + 0x01u;", "x = a * 10u - 0.5;"])
def test_nothing_is_found_where_nothing_is_wrong(line):
    assert faults(line) == []


def test_head_says_how_to_include_it_and_what_goes_in():
    head = header_text(make_plan(random_model(1, (40, 6, 3)), "m")).split("*/")[0]
    for words in ('#include "m.h"', "#define M_IMPLEMENTATION", "40 bytes in 0..255: 40 features", "bytes of scratch"):
        assert words in head


def test_a_line_is_never_broken_inside_a_word():
    declaration = f"static const {'P' * 31}_FLASH {'p' * 31}_requantize_t {'p' * 31}_layer0_activation = {{"
    assert max(map(len, layout.arrange(declaration).splitlines())) <= layout.COLUMNS
    for line in (declaration, "x" * 130, f'"{"a b " * 40}"', f'f = "{"a b " * 40}" + {"y" * 100};'):
        assert " ".join(part.strip() for part in layout.arrange(line).splitlines()) == line


EXPRESSIONS = [
    (layout.times("a + b", 4, "u"), "(a + b) * 4u"),
    (layout.times("a / 2u", 4), "a / 2u * 4"),
    (layout.times("f(a + b)", 4), "f(a + b) * 4"),
    (layout.times("a", 1), "a"),
    (layout.times("a", 0), "0"),
    (layout.over("a - b", 3), "(a - b) / 3"),
    (layout.over("a", 1), "a"),
    (layout.modulo("a", 1), "0"),
    (layout.plus("a", 0), "a"),
    (layout.plus("0", "b"), "b"),
    (layout.plus("a", -3, "u"), "a - 3u"),
    (layout.minus("a", 3), "a - 3"),
    (layout.shifted_right("a", -2), "a << 2"),
    (layout.shifted_right("a + b", 2), "(a + b) >> 2"),
    (layout.signed("a / 2u"), "(int32_t)(a / 2u)"),
]


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS)
def test_expression_has_no_idle_operator(text, expected):
    assert text == expected


def test_assembly_is_one_instruction_a_line_in_columns():
    text = layout.assembly("1: ldr r0, [r1], #4 @ next; word\n  subs r2, #1; bne 1b\n2:\n.p2align 2\n3:")
    assert text.splitlines() == [
        '".syntax unified\\n"',
        '"1:  ldr      r0, [r1], #4\\n"               /* next; word */',
        '"    subs     r2, #1\\n"',
        '"    bne      1b\\n"',
        '"2:\\n"',
        '"    .p2align 2\\n"',
        '"3:\\n"',
    ]


def test_code_is_indented_by_its_brackets_on_every_branch():
    source = (
        'void f(void)\n{\n#ifdef A\nfor (;;) {\n#else\nwhile (1) {\n#endif\n\n/* a {\n* b */\ng("{");\n\n}\n}\nint x;'
    )
    assert layout.arrange(source).splitlines() == [
        "void f(void)",
        "{",
        "#ifdef A",
        "    for (;;) {",
        "#else",
        "    while (1) {",
        "#endif",
        "",
        "        /* a {",
        "         * b */",
        '        g("{");',
        "    }",
        "}",
        "",
        "int x;",
    ]


def test_long_line_is_broken_outside_of_brackets_and_strings():
    call = f"    {'f' * 40}(a, {'b' * 30} + {'c' * 30}, d[{'e' * 20}]);"
    assert layout.arrange("{\n" + call + "\n}").splitlines()[1:-1] == [
        f"    {'f' * 40}(",
        f"        a, {'b' * 30} + {'c' * 30}, d[{'e' * 20}]);",
    ]


LONG_LINES = {
    f"const int32_t {'x' * 30} = {'a' * 20}(b, c) + {'d' * 30}(e, f) + {'g' * 25};": [
        f"const int32_t {'x' * 30} = {'a' * 20}(b, c) + {'d' * 30}(e, f)",
        f"    + {'g' * 25};",
    ],
    f"if ({'a' * 50} && {'b' * 50} || {'c' * 30}) {{": [f"if ({'a' * 50} && {'b' * 50}", f"    || {'c' * 30}) {{"],
    f"return {'p' * 30}({'a' * 30}, {'b' * 30}, {'c' * 30}, {'d' * 10});": [
        f"return {'p' * 30}(",
        f"    {'a' * 30}, {'b' * 30}, {'c' * 30}, {'d' * 10});",
    ],
    f"int a(int b, {'c' * 80}, {'d' * 40})": [f"int a(int b, {'c' * 80},", f"    {'d' * 40})"],
    f"uint32_t {'t' * 30}[20] = {{ {', '.join(['10u'] * 20)} }};": [
        f"uint32_t {'t' * 30}[20] = {{",
        f"    {', '.join(['10u'] * 20)} }};",
    ],
}


def test_long_lines_are_full_before_they_are_broken():
    """Between terms rather than within a call, at the right end, and after the bracket of a call or list of its own."""
    assert {line: layout.arrange(line).splitlines() for line in LONG_LINES} == LONG_LINES

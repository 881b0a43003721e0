"""Where Python can be broken: operators, conditions, constants, statements, arguments by name, results.

Texts are left alone, as are annotations, and what an exception is raised with.
"""

import ast
import re
from collections.abc import Iterator

from tools.mutants.mutant import Site

COMPARED = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
}
COMPUTED = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "+"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
    ast.Pow: ("**", "*"),
}
Replaced = tuple[int, int, str, str]
"""Start, end, new text, and the name of what is done."""


def sites(source: bytes) -> Iterator[Site]:
    """All sites of a module, in the order of its syntax tree."""
    return _Module(source).within(ast.parse(source), None)


class _Module:
    def __init__(self, source: bytes):
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def within(self, node: ast.AST, home: ast.stmt | None) -> Iterator[Site]:
        """`home` is the outermost function around the node, or outside functions its statement."""
        if home is None and isinstance(node, ast.stmt) and not isinstance(node, ast.ClassDef):
            home = node
        if home is not None:
            begin, end = self.span(home)
            for start, stop, wrong, operator in self.changes(node):
                yield Site(start, stop, wrong, operator, self.source[begin:end], start - begin)
        for child in self.parts(node):
            yield from self.within(child, home)

    def parts(self, node: ast.AST) -> Iterator[ast.AST]:
        """The children that may be changed."""
        if isinstance(node, (ast.JoinedStr, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)):
            return
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "type_params"):
                yield from (part for part in (value if isinstance(value, list) else [value]) if _is_node(part))

    def changes(self, node: ast.AST) -> Iterator[Replaced]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for kind, left, right in zip(node.ops, operands, operands[1:], strict=False):
                    yield self.between(left, right, *COMPARED[type(kind)])
            case ast.BoolOp():
                right, wrong = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for one, other in zip(node.values, node.values[1:], strict=False):
                    yield self.between(one, other, right, wrong)
            case ast.BinOp() if type(node.op) in COMPUTED and not _is_text(node.left):
                right, wrong = COMPUTED[type(node.op)]
                yield self.between(node.left, node.right, re.escape(right), wrong)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield (*self.span(node), self.text(node.operand), "sign dropped")
            case ast.Constant(value=bool()):
                yield (*self.span(node), str(not node.value), "constant")
            case ast.Constant(value=int() | float()):
                yield (*self.span(node), f"({self.text(node)} + 1)", "constant")
            case ast.If() | ast.IfExp() | ast.While():
                yield (*self.span(node.test), f"(not ({self.text(node.test)}))", "condition")
            case ast.Call():
                yield from self.dropped_arguments(node)
            case ast.Return(value=ast.expr()) if not _is_none(node.value):
                yield (*self.span(node), "return None", "result")
            case ast.Raise() | ast.AugAssign() | ast.Expr(value=ast.Call()) | ast.Continue() | ast.Break():
                yield (*self.span(node), "pass", "statement")

    def dropped_arguments(self, call: ast.Call) -> Iterator[Replaced]:
        """Each argument by name, with the comma before or after it."""
        for keyword in call.keywords:
            if keyword.arg is None:
                continue
            start, end = self.span(keyword)
            after = re.match(rb"\s*,[ ]*", self.source[end:])
            before = re.search(rb",\s*$", self.source[:start])
            if after:
                yield start, end + after.end(), "", f"argument {keyword.arg}"
            elif before:
                yield before.start(), end, "", f"argument {keyword.arg}"
            else:
                yield start, end, "", f"argument {keyword.arg}"

    def between(self, left: ast.AST, right: ast.AST, pattern: str, wrong: str) -> Replaced:
        """The operator between two operands, outside their brackets and comments."""
        begin, end = self.span(left)[1], self.span(right)[0]
        gap = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), self.source[begin:end])
        word = rf"\b{pattern}\b" if pattern[0].isalpha() else pattern
        found = re.search(word.encode(), gap)
        return begin + found.start(), begin + found.end(), wrong, f"{pattern} to {wrong}"

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Byte offsets of its begin and end."""
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()


def _is_node(part) -> bool:
    return isinstance(part, ast.AST)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))

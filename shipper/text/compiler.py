"""From the text of a condition to two functions: one event's answer, and the answers of many.

Every node of the parsed text is checked against what is known here; anything else is a ValueError that says
what and where. What is compiled is written anew from the checked tree: field names, strings and patterns
get into it only as constants or through its namespace.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NoReturn

from shipper.batch import Attrs, Event
from shipper.text.paths import FieldPath
from shipper.text.syntax import called, kind, tree, words
from shipper.text.words import COMPARE, COMPUTE, FUNCTIONS, isin, minus, notin, searcher

if TYPE_CHECKING:  # not before there is a pattern
    from shipper.text.patience import Patience

DEEPEST = 30
ALLOWED = (
    "allowed are fields, constants, lists of constants, and, or, not, comparisons, in, is None, + - * / // %, "
    f"x if c else y, and the functions {' '.join(sorted({*FUNCTIONS, 'matches', 'exists', 'field'}))}"
)
QUOTED = 'expected a path in quotes, field("@timestamp")'
SIGNS: dict[type[ast.AST], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
}  # fmt: skip
OTHER_LANGUAGES = {"true": "True", "false": "False", "null": "None", "none": "None"}
# comparing two deeply nested values can exhaust the stack: such a comparison is False, too
BODY = """
def one(event, attrs):
    try:
        return True if {source} else False
    except RecursionError:
        return False
def many(events, attrs):
    answers = []
    answer = answers.append
    try:
        for event in events:
            answer(True if {source} else False)
    except RecursionError:
        return [one(event, attrs) for event in events]
    return answers
"""
One = Callable[[Event, Attrs], bool]
Many = Callable[[list[Event], Attrs], list[bool]]
Listed = ast.List | ast.Tuple | ast.Set


class Compiler:
    """Compiles one text. Afterwards `paths` are the fields it reads, `one` and `many` the functions."""

    def __init__(self, text: str) -> None:
        self.paths: set[FieldPath] = set()
        self.patterns: list[re.Pattern[str]] = []
        self.patience: Patience | None = None
        self.space: dict[str, Any] = {"isin": isin, "notin": notin, "minus": minus}
        self.depth = 0
        self.count = 0
        body = BODY.replace("{source}", self.emit(tree(text)))
        for code in compile(body, "<condition>", "exec").co_consts:
            if isinstance(code, CodeType):
                self.space[code.co_name] = FunctionType(code, self.space)
        self.one: One = self.space["one"]
        self.many: Many = self.space["many"]

    def emit(self, node: ast.expr) -> str:
        """The source of one node; ValueError for what is not allowed."""
        method = getattr(self, f"emit_{type(node).__name__}", None)
        if method is None:
            self.refuse(node, words(node))
        if self.depth >= DEEPEST:
            self.refuse(node, f"nested deeper than {DEEPEST}", "expected a simpler condition")
        self.depth += 1
        source: str = method(node)
        self.depth -= 1
        return source

    def refuse(self, node: ast.AST, what: str, expected: str = ALLOWED) -> NoReturn:
        raise ValueError(f"column {getattr(node, 'col_offset', 0) + 1}: {what}; {expected}")

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def keep(self, value: Any) -> str:
        """A name for a value in the namespace."""
        name = self.name()
        self.space[name] = value
        return name

    # values

    def emit_Constant(self, node: ast.Constant) -> str:
        value = node.value
        if value is not None and not isinstance(value, (bool, str, int, float)):
            self.refuse(node, words(node))
        return self.keep(value) if isinstance(value, float) and not math.isfinite(value) else repr(value)

    def emit_List(self, node: Listed) -> str:
        return self.keep(self.constants(node))

    emit_Tuple = emit_Set = emit_List

    def constants(self, node: Listed) -> list[Any]:
        for item in node.elts:
            if not kind(item) and not (isinstance(item, ast.Constant) and isinstance(item.value, bool | None)):
                self.refuse(item, f"{words(item)} in a list", "expected constants only")
        return [ast.literal_eval(item) for item in node.elts]

    def emit_Name(self, node: ast.Name) -> str:
        if node.id in OTHER_LANGUAGES:
            self.refuse(node, f"the word {node.id}", f"write {OTHER_LANGUAGES[node.id]}")
        return self.field(FieldPath.of(node.id))

    def emit_Attribute(self, node: ast.expr) -> str:
        return self.field(self.path(node))

    emit_Subscript = emit_Attribute

    def field(self, path: FieldPath) -> str:
        self.paths.add(path)
        if len(path.keys) == 1:
            key = repr(path.first)
            return f"(event[{key}] if {key} in event else attrs.get({key}))"
        return f"{self.keep(path.get)}(event, attrs)"

    def path(self, node: ast.expr) -> FieldPath:
        """The field that names, dots and subscripts spell."""
        keys: list[str] = []
        at = node
        while not isinstance(at, ast.Name):
            if isinstance(at, ast.Attribute):
                keys.append(at.attr)
            elif isinstance(at, ast.Subscript):
                key = at.slice.value if isinstance(at.slice, ast.Constant) else None
                if isinstance(key, bool) or not isinstance(key, (str, int)):
                    self.refuse(at.slice, "what is in the brackets", 'expected labels["a b"] or items[0]')
                keys.append(str(key))
            elif isinstance(at, ast.Call) and called(at) == "field":
                return FieldPath.of(*self.quoted(at).keys, *reversed(keys))
            else:
                self.refuse(at, words(at), "expected a field such as labels.app")
            at = at.value
        return FieldPath.of(at.id, *reversed(keys))

    def quoted(self, node: ast.Call) -> FieldPath:
        """The path in `field("...")`."""
        text = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
        if not isinstance(text, str) or node.keywords or not isinstance(node.func, ast.Name):
            self.refuse(node, "this call of field", QUOTED)
        try:
            return FieldPath(text)
        except ValueError as error:
            self.refuse(node, str(error), QUOTED)

    # logic and arithmetic

    def emit_BoolOp(self, node: ast.BoolOp) -> str:
        word = " and " if isinstance(node.op, ast.And) else " or "
        return f"({word.join([self.emit(value) for value in node.values])})"

    def emit_UnaryOp(self, node: ast.UnaryOp) -> str:
        if not isinstance(node.op, (ast.Not, ast.USub)):
            self.refuse(node, words(node.op))
        inner = self.emit(node.operand)
        if isinstance(node.op, ast.Not):
            return f"(not {inner})"
        return f"(-{inner})" if kind(node) else f"minus({inner})"

    def emit_IfExp(self, node: ast.IfExp) -> str:
        return f"({self.emit(node.body)} if {self.emit(node.test)} else {self.emit(node.orelse)})"

    def emit_BinOp(self, node: ast.BinOp) -> str:
        compute = COMPUTE.get(SIGNS.get(type(node.op), ""))
        if compute is None:
            self.refuse(node, words(node.op))
        return f"{self.keep(compute)}({self.emit(node.left)}, {self.emit(node.right)})"

    def emit_Compare(self, node: ast.Compare) -> str:
        left, source = node.left, self.emit(node.left)
        parts: list[str] = []
        for to_go, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True), 1 - len(node.ops)):
            held = self.name() if to_go else ""  # the middle of a chain is computed once
            parts.append(self.compared(op, left, source, right, held))
            left, source = right, held
        return f"({' and '.join(parts)})"

    def compared(self, op: ast.cmpop, left: ast.expr, source: str, right: ast.expr, held: str) -> str:
        """One comparison; its right side is also kept in `held`."""
        if isinstance(op, (ast.Is, ast.IsNot)) and not (
            isinstance(right, ast.Constant) and isinstance(right.value, bool | None)
        ):
            self.refuse(right, f"is {words(right)}", "is and is not are for None, True and False; use == and !=")
        listed = isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, Listed)
        other = self.emit(right)
        if held:
            other = f"({held} := {other})"
        value = self.name()
        if isinstance(op, (ast.Is, ast.IsNot)) and (kind(left) or isinstance(left, ast.Constant)):
            source = self.keep(ast.literal_eval(left))  # Python warns of `1 is None`
        match op:
            case ast.Is():
                return f"{source} is {other}"
            case ast.IsNot():
                return f"{source} is not {other}"
            case ast.In() | ast.NotIn():
                word, slow = ("in", "isin") if isinstance(op, ast.In) else ("not in", "notin")
                if listed and not held:
                    known = self.keep(frozenset(self.space[other]))
                    return f"({value} {word} {known} if type({value} := {source}) is str else {slow}({value}, {other}))"
                if kind(left) == "str":
                    return (
                        f"({source} {word} {value} if type({value} := {other}) is str else {slow}({source}, {value}))"
                    )
                return f"{slow}({source}, {other})"
        sign = SIGNS[type(op)]
        if sign not in COMPARE:
            return f"{source} {sign} {other}"
        slow = self.keep(COMPARE[sign])
        # the usual case, a field against a constant of its type, needs no call
        if kind(right) and not kind(left) and not held:
            return (
                f"({value} {sign} {other} if type({value} := {source}) is {kind(right)} else {slow}({value}, {other}))"
            )
        if kind(left) and not kind(right):
            return (
                f"({source} {sign} {value} if type({value} := {other}) is {kind(left)} else {slow}({source}, {value}))"
            )
        return f"{slow}({source}, {other})"

    # functions

    def emit_Call(self, node: ast.Call) -> str:
        name = called(node)
        if name == "field":
            return self.field(self.quoted(node))
        args = [node.func.value, *node.args] if isinstance(node.func, ast.Attribute) else node.args
        if name not in FUNCTIONS and name not in ("exists", "matches"):
            self.refuse(node, f"the function {name}" if name else "a call of this")
        count = FUNCTIONS[name][0] if name in FUNCTIONS else 1 + (name == "matches")
        if node.keywords or len(args) != count or any(isinstance(arg, ast.Starred) for arg in args):
            self.refuse(node, f"this call of {name}", f"expected {count} plain argument{'s'[: count - 1]}")
        if name == "exists":
            path = self.path(args[0])
            self.paths.add(path)
            return f"{self.keep(path.has)}(event, attrs)"
        if name == "matches":
            return f"{self.pattern(args[1])}({self.emit(args[0])})"
        given = [self.emit(arg) for arg in args]
        if name in ("startswith", "endswith") and isinstance(args[1], Listed):
            given[1] = self.keep(tuple(word for word in self.space[given[1]] if isinstance(word, str)))
        return f"{self.keep(FUNCTIONS[name][1])}({', '.join(given)})"

    def pattern(self, node: ast.expr) -> str:
        """A function that searches a constant pattern, compiled here, once."""
        text = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(text, str):
            self.refuse(node, "the pattern", 'expected text in quotes, matches(path, r"^/api")')
        if "\b" in text:
            self.refuse(node, r"\b is a backspace in plain quotes", r'write the pattern as r"\b..."')
        try:
            search, pattern, patience = searcher(text)
        except ValueError as error:
            self.refuse(node, f"the pattern: {error}", "expected a regular expression of Python's re")
        self.patterns.append(pattern)
        self.patience = patience or self.patience
        return self.keep(search)

"""The text of a condition as a tree, and the words for what is wrong with it."""

from __future__ import annotations

import ast
import re
import warnings

LONGEST = 4096
EXPECTED = 'expected a condition such as status >= 500 and "checkout" in path'
NAMES = {
    "Lambda": "a lambda", "ListComp": "a comprehension", "SetComp": "a comprehension", "DictComp": "a comprehension",
    "GeneratorExp": "a comprehension", "NamedExpr": "an assignment", "Dict": "a mapping", "JoinedStr": "an f-string",
    "Slice": "a slice", "Starred": "a star", "Pow": "** (a power)", "MatMult": "@", "BitXor": "^", "Invert": "~",
    "BitAnd": "& (did you mean and?)", "BitOr": "| (did you mean or?)", "LShift": "<<", "RShift": ">>",
    "UAdd": "a sign +", "List": "a list", "Tuple": "a list", "Set": "a set", "Name": "a field", "Attribute": "a field",
    "Subscript": "a field", "Call": "a call", "Compare": "a comparison", "BinOp": "arithmetic", "BoolOp": "and, or",
}  # fmt: skip

HINTS = {"&&": ("&&", "and"), "||": (r"\|\|", "or"), "=": ("[^=<>!]=[^=]", "=="), "!": ("![^=]", "not")}


def tree(text: str) -> ast.expr:
    """The expression; ValueError with the column when it is none."""
    if len(text) > LONGEST:
        raise ValueError(f"a condition of {len(text)} characters; expected at most {LONGEST}")
    shown = text.strip()
    if "\n" in shown:
        shown = f"(\n{shown}\n)"  # lines may be broken anywhere, and end in comments
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a pattern means what it says
            return ast.parse(shown, mode="eval").body
    except SyntaxError as error:
        hints = [f"; {sign} is written {word}" for sign, (look, word) in HINTS.items() if re.search(look, shown)]
        raise ValueError(f"column {error.offset or 1}: {error.msg}{''.join(hints)}; {EXPECTED}") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError(f"it cannot be read: {error or 'too deeply nested'}; {EXPECTED}") from None


def called(node: ast.Call) -> str:
    """The name of the function or the method, or nothing."""
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def kind(node: ast.expr) -> str:
    """`int`, `float` or `str` when the node is such a constant, with a minus or without; else nothing."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return kind(node.operand) if kind(node.operand) in ("int", "float") else ""
    name = type(node.value).__name__ if isinstance(node, ast.Constant) else ""
    return name if name in ("int", "float", "str") else ""


def words(node: ast.AST) -> str:
    """What a construct is called in a message."""
    if isinstance(node, ast.Constant):
        return f"the constant {node.value!r}"
    name = type(node).__name__
    return NAMES.get(name, name.lower())

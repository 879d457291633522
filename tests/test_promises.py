"""The guarantees keep their word: every test that the page names as proof is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/guarantees.md").read_text()
FAILURES = (ROOT / "docs/failures.md").read_text()
NAMED = re.compile(r"`((?:tests/[\w/]+\.py)?)::(\w+)`")


def names_in(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(
    "row", [line for line in [*PAGE.splitlines(), *FAILURES.splitlines()] if "::" in line], ids=lambda row: row[2:40]
)
def test_every_proof_is_there(row: str) -> None:
    """`file::test` in each line; `::test` alone goes on with the file before it."""
    file = ""
    for named, test in NAMED.findall(row):
        file = named or file
        assert test in names_in(file), f"{file}::{test}"


def test_every_promise_has_a_proof() -> None:
    """No row of the tables stands alone."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not re.match(r"\| (promise|when) \|", line)]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row)] == []


def test_every_known_failure_of_others_is_answered() -> None:
    """X1 to X26 of the list that the battery was made from: a test, or a sentence why it cannot occur."""
    answered = re.findall(r"^\| X(\d+) \|", FAILURES, re.MULTILINE)
    assert [int(number) for number in answered] == list(range(1, 27))

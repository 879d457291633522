"""The pages keep their word: every test that they name as proof is there, and every promise names one."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text().splitlines() for name in ("guarantees", "failures", "security")
}
NAMED = re.compile(r"`((?:tests/[\w/]+\.py)?)::(\w+)`")
HEADING = re.compile(r"\| (promise|when|#) \|")


@functools.cache
def names_in(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(
    "line", [line for page in PAGES.values() for line in page if "::" in line], ids=lambda line: line[2:40]
)
def test_every_proof_is_there(line: str) -> None:
    """`file::test` in each line; `::test` alone goes on with the file before it."""
    file = ""
    for named, test in NAMED.findall(line):
        file = named or file
        assert test in names_in(file), f"{file}::{test}"


@pytest.mark.parametrize("name", PAGES)
def test_every_promise_has_a_proof(name: str) -> None:
    """No row of the tables stands alone."""
    rows = [line for line in PAGES[name] if line.startswith("| ") and not HEADING.match(line)]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row)] == []


def test_every_known_failure_of_others_is_answered() -> None:
    """X1 to X26 of the list that the battery was made from: a test, or a sentence why it cannot occur."""
    answered = re.findall(r"^\| X(\d+) \|", "\n".join(PAGES["failures"]), re.MULTILINE)
    assert [int(number) for number in answered] == list(range(1, 27))

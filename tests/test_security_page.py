"""The security page keeps its word: every test that it names as proof is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/security.md").read_text()
PROMISES = [row for row in PAGE.splitlines() if row.startswith("| ") and not row.startswith("| promise")]


def proofs_in(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_has_a_proof_that_exists() -> None:
    """`file::test` in each row; `::test` alone goes on with the file before it."""
    assert len(PROMISES) > 20
    missing = []
    for row in PROMISES:
        file, proofs = "", re.findall(r"`((?:tests/[\w/]+\.py)?)::(\w+)`", row.split(" | ")[1])
        assert proofs, f"no proof: {row}"
        for named, test in proofs:
            file = named or file
            if test not in proofs_in(file):
                missing.append(f"{file}::{test}")
    assert not missing

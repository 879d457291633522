"""Every mistake has its sentence: configurations with problems, and what `validate` says of them.

`UPDATE_GOLDEN=1 pytest tests/config/test_golden.py` writes the sentences anew; read the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from shipper.config.load import load
from shipper.errors import ConfigError

GOLDEN = Path(__file__).parent.parent / "golden" / "config"
CASES = sorted(GOLDEN.glob("*.yaml"))
ENVIRONMENT = {"SET_BADLY": "ftp://user:hunter2@x/"}


def complaints(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load([file], env=ENVIRONMENT)
    return [str(problem).replace(str(file), file.name) for problem in raised.value.problems]


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_says_where_and_what(file: Path) -> None:
    """Each problem is one line with file, line, column, what was found and what was expected."""
    found = complaints(file)
    expected = file.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text("\n".join(found) + "\n")
    assert found == expected.read_text().splitlines()
    for line in found:
        assert re.match(rf"{file.name}:\d+:\d+: ", line), line
        assert "hunter2" not in line


def test_fifteen_mistakes_are_fifteen_problems() -> None:
    """Nothing hides behind anything else."""
    assert len(complaints(GOLDEN / "fifteen_mistakes.yaml")) >= 15

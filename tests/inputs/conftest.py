"""What the tests of inputs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inputs.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder of logs of its own, and the state of the input that reads them."""
    return Place(tmp_path)

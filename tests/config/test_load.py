"""What cannot be said by one golden file: folders, and plugins beside other mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.config.load import load
from shipper.errors import ConfigError, Problem

PLUGINS = Path(__file__).parent.parent / "pipeline" / "plugins"


def problems(path: Path) -> list[Problem]:
    with pytest.raises(ConfigError) as raised:
        load([path], env={})
    return raised.value.problems


def test_a_folder_of_empty_files_is_an_empty_configuration(tmp_path: Path) -> None:
    """Files with nothing in them are a problem with a place, however many there are."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("# nothing yet\n")
    (found,) = problems(tmp_path)
    assert str(found).startswith(f"{tmp_path}/a.yaml:1:1: found an empty configuration")


def test_a_mistake_at_the_top_does_not_make_plugins_unknown(tmp_path: Path) -> None:
    """Only what is wrong is reported, though the drop-ins are named at the same level."""
    file = tmp_path / "shipper.yaml"
    file.write_text(
        f"shutdown_grace: 5x\nplugins: [{PLUGINS}]\ninputs: {{in: {{type: lines}}}}\noutputs: {{out: {{type: memory}}}}\n"
    )
    assert [found.path for found in problems(file)] == ["shutdown_grace"]

"""A configuration that would read what it writes is not started."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.config.load import load
from shipper.errors import ConfigError

TEXT = """
data_dir: ./data
inputs:
  app: {{type: file, include: [./logs/*.log], exclude: [{exclude}]}}
  other: {{type: file, include: [./second/*.log]}}
outputs:
  out: {{type: file, path: "{path}"}}
  second: {{type: file, path: ./second/out.log}}
pipelines:
  main: {{inputs: [app], outputs: [{main}]}}
  next: {{inputs: [other], outputs: [{next}]}}
"""


def loaded(tmp_path: Path, path: str, exclude: str = "", main: str = "out", next: str = "out") -> list[str]:
    file = tmp_path / "shipper.yaml"
    file.write_text(TEXT.format(path=path, exclude=exclude, main=main, next=next))
    return [str(warning) for warning in load([file]).warnings if "round" in str(warning)]


def test_an_output_that_is_read_again_is_a_problem(tmp_path: Path) -> None:
    """It is said where the path stands, with the input and the way out."""
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, "./logs/out-{service}.log")
    (problem,) = error.value.problems
    assert (problem.line, problem.path) == (7, "outputs.out.path")
    assert "inputs.app reads" in problem.message and "exclude" in problem.message


def test_what_some_values_make_a_loop_is_a_warning(tmp_path: Path) -> None:
    """Where only certain events lead back it is said, and started."""
    warnings = loaded(tmp_path, "./{service}/out.log")
    assert ["outputs.out.path" in each for each in warnings] == [True, True]
    assert "inputs.app reads" in warnings[0] and "inputs.other reads" in warnings[1]


@pytest.mark.parametrize(
    "options", [{"path": "./logs/out.log", "exclude": "out.log"}, {"path": "./elsewhere/out.log"}, {"path": "./logs/x"}]
)
def test_what_is_no_loop(tmp_path: Path, options: dict[str, str]) -> None:
    """Excluded, in another folder, or with another ending it is none."""
    assert loaded(tmp_path, **options) == []


def test_a_file_between_two_pipelines_is_no_loop(tmp_path: Path) -> None:
    """What one pipeline writes another may read, as long as it does not come back to the first."""
    assert loaded(tmp_path, "./elsewhere/out.log", main="second") == []
    with pytest.raises(ConfigError):
        loaded(tmp_path, "./logs/out.log", main="second")
    with pytest.raises(ConfigError):
        loaded(tmp_path, "./logs/out.log", main="second", next="second")


@pytest.mark.parametrize("include", ["['./out.log.*']", "['./out.log', './out.log.2*']"])
def test_a_rotated_output_is_read_again_too(tmp_path: Path, include: str) -> None:
    """Also when only the old files of an output are found, and when it is only the file of now that surely is."""
    file = tmp_path / "shipper.yaml"
    file.write_text(
        f"inputs: {{app: {{type: file, include: {include}}}}}\n"
        "outputs: {out: {type: file, path: ./out.log, rotate: {every: 1d}}}\n"
    )
    with pytest.raises(ConfigError):
        load([file])

"""What the documents say is true: pages are fresh, commands are the ones CI runs, examples are valid and run."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
CONFIGS = [ROOT / "shipper.yaml", *sorted((ROOT / "examples").glob("*/shipper.yaml"))]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh() -> None:
    """`python docs/generate.py` would change nothing."""
    wanted = generator().pages()
    stale = [str(file) for file, text in wanted.items() if not file.exists() or file.read_text() != text]
    extra = [str(file) for file in (ROOT / "docs/reference").rglob("*.md") if file not in wanted]
    assert not stale + extra, "run: python docs/generate.py"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_configurations_are_valid_and_fit_the_schema(config: Path) -> None:
    """Every configuration we show passes `validate`, its own tests, and the schema for editors."""
    for command in ("validate", "test"):
        done = subprocess.run(
            [sys.executable, "-m", "shipper", command, "-c", str(config)], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr
    schema = json.loads((ROOT / "docs/shipper.schema.json").read_text())
    loaded = yaml.safe_load(config.read_text())
    plugins = loaded.get("plugins")
    if not plugins:
        jsonschema.Draft202012Validator(schema).validate(loaded)


def test_the_schema_refuses_what_validate_refuses() -> None:
    """A typo in an option is seen by an editor too."""
    schema = json.loads((ROOT / "docs/shipper.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for bad in (
        {"inputs": {"a": {"type": "file", "inclode": ["x"]}}},
        {"inputs": {"a": {"type": "fil"}}},
        {"memory_limit": "lots"},
    ):
        assert list(validator.iter_errors(bad)), bad


def test_the_readme_gives_the_command_that_ci_runs() -> None:
    """One command passes the tests, and CI runs that one."""
    command = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest"
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci/run").read_text()


def test_links_lead_somewhere() -> None:
    """Relative links in the documents point to files that are there."""
    for page in [*DOCS, *(ROOT / "docs/reference").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_nothing_names_the_place_it_was_made() -> None:
    """No path of a developer's machine stands in what we publish."""
    # put together here, so that this line is not what it looks for
    marks = ["/" + "work/main", "/" + "root/", "farm" + "-"]
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for path in filter(Path.exists, (ROOT / name for name in files)):  # one that was removed is listed until the commit
        text = path.read_bytes()
        for mark in marks:
            assert mark.encode() not in text, f"{path} contains {mark}"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_yaml_in_the_documents_is_valid(page: Path, tmp_path: Path) -> None:
    """Every whole configuration shown in a document passes `validate`."""
    for index, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)):
        loaded = yaml.safe_load(block)
        if not {"inputs", "outputs"} <= set(loaded):
            continue
        file = tmp_path / f"{index}.yaml"
        file.write_text(block)
        done = subprocess.run(
            [sys.executable, "-m", "shipper", "validate", "-c", str(file)], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, f"{page.name}:\n{block}\n{done.stderr}"

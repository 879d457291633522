"""What is skipped elsewhere fails in CI, but for what no installation would change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUBJECT = """
import pytest
@pytest.mark.skipif(True, reason="a tool is missing")
def test_marked(): pass
def test_inside(): pytest.skip("a privilege is missing")
def test_module(): pytest.importorskip("no_such_module")
@pytest.mark.skipif(True, reason="root may read everything")
def test_in_principle(): pass
@pytest.mark.xfail(raises=ValueError, reason="known")
def test_expected(): raise ValueError
def test_good(): pass
"""


@pytest.mark.parametrize(
    ("ci", "says"),
    [("", "1 passed, 4 skipped, 1 xfailed"), ("true", "2 failed, 1 passed, 1 skipped, 1 xfailed, 1 error")],
)
def test_ci_skips_nothing(ci: str, says: str, tmp_path: Path) -> None:
    """Marks, `skip` and `importorskip` alike; the reason is shown."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_subject.py").write_text(SUBJECT)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--no-header", str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, "CI": ci}, capture_output=True, text=True)
    assert says in done.stdout, done.stdout
    assert done.stdout.count("CI skips nothing: ") >= (3 if ci else 0)

"""Whatever events say, nothing is ever written outside of the folder that the template names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shipper.batch import Batch, Piece
from shipper.codecs.ndjson import Ndjson
from shipper.errors import Refused, Rejected, Unavailable
from shipper.outputs.file import File, Rotate
from shipper.testing import delivered
from shipper.text.templates import Template


def to(path: Path | str, **options: Any) -> File:
    return File(path=Template(str(path)), codec=Ndjson(), **options)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


BAD = [
    "..", ".", "", "/", "//", "a/b", "../x", "../../etc/passwd", "/etc/passwd", "a/../../x", "./x", "a/", "/a", "\x00", "a\x00b", "a\nb",
    "a\rb", "\x1b[31m", "\x7f", "x" * 5000, "é" * 200, "\ud800", "..\x00", "a/./b", "~/../x", "....//....//x",
]  # fmt: skip
HARMLESS = [
    "%2e%2e%2f",
    "..%2fx",
    "\u2215etc\u2215x",
    "\u2024\u2024",
    "...",
    "~",
    "-rf",
    "a b",
    "con",
    "..a",
    "a\\b",
    "\u202ex",
    "$(x)",
    "*",
]


async def test_values_that_are_no_names(tmp_path: Path) -> None:
    """A value that would leave the folder, or is no name, sets its event aside with a reason; nothing is written."""
    base = tmp_path / "base"
    for template in ("{a}", "{a}.log", "{a}/x.log", "logs/{a}/{b:c}"):
        for value in BAD:
            if template != "{a}" and value in ("", ".", "..") and template == "{a}.log":
                continue
            batch = Batch([{"a": value}])
            (refused,) = to(f"{base}/{template}").encode(batch)
            assert isinstance(refused, Refused), (template, value)
            assert refused.event == {"a": value}
            assert refused.reason.startswith("path: ")
    (missing,) = to(f"{base}/{{a}}").encode(Batch([{"b": 1}]))
    assert isinstance(missing, Refused)
    assert not base.exists()


async def test_odd_names_stay_inside(tmp_path: Path) -> None:
    """Values that only look dangerous are names like any other, below the folder."""
    base = tmp_path / "base"
    for value in HARMLESS:
        await delivered(to(f"{base}/{{a}}/x"), [{"a": value}])
    assert tree(tmp_path) == sorted(f"base/{value}/x" for value in HARMLESS)


async def test_slashes_are_the_templates_own(tmp_path: Path) -> None:
    """A time or a default may have slashes, as the user wrote them; a value may not, also when the depth is the same."""
    await delivered(to(tmp_path / "{t:%Y/%m}/{a:x/y}.log"), [{"t": "2026-11-22T00:00:00Z"}])
    assert tree(tmp_path) == ["2026/11/x/y.log"]
    (refused,) = to(tmp_path / "{t:%Y/%m}/{a:x/y}.log").encode(Batch([{"t": "2026-11-22T00:00:00Z", "a": "x/y"}]))
    assert isinstance(refused, Refused)
    assert "'/'" in refused.reason


async def test_pieces_of_another_template_are_checked_again(tmp_path: Path) -> None:
    """What was encoded by an older configuration is never written outside of the present folder."""
    output = to(tmp_path / "in" / "{a}")
    for key in (f"{tmp_path}/out/x", f"{tmp_path}/in/../out/x", "/etc/x"):
        with pytest.raises(Rejected, match="path:"):
            await output.write([Piece(b"{}\n", 1, key)])
    await output.close()


async def test_links_are_not_followed(tmp_path: Path) -> None:
    """Links inside the folder, for a file or for a folder, are in the way; the events are set aside, nothing is outside."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    base.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("")
    (base / "file.log").symlink_to(outside / "secret")
    (base / "new.log").symlink_to(outside / "new")
    (base / "folder").symlink_to(outside)
    (base / "pipe.log").mkdir()
    os.mkfifo(base / "fifo.log")
    for template in ("{a}.log", "{a}/x.log"):
        for value in ("file", "new", "folder", "pipe", "fifo"):
            if (template == "{a}.log") == (value == "folder") or (template != "{a}.log" and value != "folder"):
                continue
            with pytest.raises(Rejected, match="in the way"):
                await delivered(to(f"{base}/{template}"), [{"a": value}])
    with pytest.raises(Unavailable, match="in the way"):
        await delivered(to(base / "file.log"), [{}])
    assert tree(outside) == ["secret"]
    assert (outside / "secret").read_text() == ""


@pytest.mark.parametrize(
    ("path", "options", "option"),
    [
        ("/{a}/x.log", {}, "path"),
        ("/data/{a}/../x", {}, "path"),
        ("/data/", {}, "path"),
        ("/data/{a}/", {}, "path"),
        ("/data/x.log", {"rotate": Rotate(keep=3)}, "rotate"),
    ],
)
def test_check(path: str, options: dict[str, Any], option: str) -> None:
    """A path that could be anywhere, or that is none, is said at the start."""
    assert [name for name, _ in to(path, **options).check()] == [option]


def test_check_passes() -> None:
    """Ordinary paths are not complained about."""
    for path in ("/data/{a}.log", "x.log", "/x.log", "/d/{{a}}/{b:x/y}/{t:%Y/%m}", '/d/{labels."a/b"}.log'):
        assert not list(to(path).check()), path

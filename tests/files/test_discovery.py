"""Globs find files, excludes win."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.files.discovery import Discovery

TREE = ["a.log", "b.log", "b.log.gz", ".hidden.log", "x/c.log", "x/y/d.log", "x/y/d.txt", "old/e.log", "q[1].log"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def found(tree: Path, include: list[str], exclude: list[str] | None = None) -> list[str]:
    discovery = Discovery([str(tree / pattern) for pattern in include], exclude or [], lambda path, error: None)
    return sorted(str(Path(path).relative_to(tree)) for path in discovery.paths() if Path(path).is_file())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.log", ["a.log", "b.log", "q[1].log"]),
        ("**/*.log", ["a.log", "b.log", "old/e.log", "q[1].log", "x/c.log", "x/y/d.log"]),
        ("x/**/*.log", ["x/c.log", "x/y/d.log"]),
        ("**/y/*", ["x/y/d.log", "x/y/d.txt"]),
        ("*/c.log", ["x/c.log"]),
        ("[ab].log", ["a.log", "b.log"]),
        ("[!a].log", ["b.log"]),
        ("[a-b].log", ["a.log", "b.log"]),
        ("[b-a].log", []),
        ("[!b-a].log", ["a.log", "b.log"]),
        ("[a--b].log", ["b.log"]),
        ("[a&&b].log", ["a.log", "b.log"]),
        ("[].log", []),
        ("[!].log", []),
        ("?.log", ["a.log", "b.log"]),
        ("q[[]1].log", ["q[1].log"]),
        ("a.log", ["a.log"]),
        (".*.log", [".hidden.log"]),
        (".hidden.log", [".hidden.log"]),
    ],
)
def test_patterns(tree: Path, pattern: str, expected: list[str]) -> None:
    """A pattern finds what a shell with globstar finds."""
    assert found(tree, [pattern]) == expected


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ("*.gz", {"b.log.gz"}),
        ("old/*.log", {"old/e.log"}),
        ("**/y/**", {"x/y/d.log", "x/y/d.txt"}),
        ("[!a-w]/c.*", {"x/c.log"}),
    ],
)
def test_excludes_win(tree: Path, exclude: str, gone: set[str]) -> None:
    """What an exclude names is not found, whatever includes it; each file is found once."""
    everything = {"a.log", "b.log", "b.log.gz", "q[1].log", "x/c.log", "x/y/d.log", "x/y/d.txt", "old/e.log"}
    assert found(tree, ["**/*", "*.log", "old/e.log"], [exclude]) == sorted(everything - gone)


def test_an_absolute_exclude_is_the_whole_path(tree: Path) -> None:
    """With a leading slash an exclude means that path and no other."""
    assert found(tree, ["**/*.log"], [str(tree / "x") + "/*.log"]) == [
        "a.log",
        "b.log",
        "old/e.log",
        "q[1].log",
        "x/y/d.log",
    ]


def test_a_loop_of_links_ends(tree: Path) -> None:
    """A link to a folder above is not followed again; a link to another folder is."""
    (tree / "x" / "up").symlink_to(tree)
    (tree / "x" / "side").symlink_to(tree / "old")
    assert found(tree, ["**/*.log"]) == [
        "a.log",
        "b.log",
        "old/e.log",
        "q[1].log",
        "x/c.log",
        "x/side/e.log",
        "x/y/d.log",
    ]


def test_one_watch_for_each_base(tmp_path: Path) -> None:
    """The folders to watch are the fixed beginnings of the patterns; one inside another needs no watch."""
    patterns = ["/v/log/*.log", "/v/log/app/**/*.log", "/v/log/app/x/*.log", "/v/one.log"]
    assert Discovery(patterns, [], lambda path, error: None).bases() == {
        "/v/log": False,
        "/v/log/app": True,
        "/v": False,
    }


def test_a_folder_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """A folder that is not there is normal; other trouble is told with the path."""
    troubles: list[str] = []
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    discovery = Discovery(
        [f"{tmp_path}/loop/*.log", f"{tmp_path}/none/*.log"], [], lambda path, error: troubles.append(path)
    )
    assert list(discovery.paths()) == []
    assert troubles == [f"{tmp_path}/loop"]


def test_no_wildcard_leads_into_our_own_folder(tree: Path) -> None:
    """What Shipper writes is not read, or it would read its own positions for ever; a pattern that names the folder finds it."""

    def seen(pattern: str) -> list[str]:
        discovery = Discovery([str(tree / pattern)], [], lambda path, error: None, str(tree / "x"))
        return sorted(str(Path(path).relative_to(tree)) for path in discovery.paths() if Path(path).is_file())

    assert seen("**/*.log") == ["a.log", "b.log", "old/e.log", "q[1].log"]
    assert seen("*/*.log") == ["old/e.log"]
    assert seen("x/*.log") == ["x/c.log"]
    assert seen("x/y/d.log") == ["x/y/d.log"]

"""Whether a path that is written is one that is read is known from the texts alone."""

from __future__ import annotations

import pytest

from shipper.files.discovery import Discovery
from shipper.files.overlap import HOLE, finds, holes


def verdict(include: str, template: str, *exclude: str) -> str:
    return finds(Discovery([include], exclude, lambda path, error: None), holes(template))


@pytest.mark.parametrize(
    ("include", "template", "expected"),
    [
        ("/log/*.log", "/log/out.log", "yes"),
        ("/log/*.log", "/log/out.ndjson", "no"),
        ("/log/*.log", "/log/sub/out.log", "no"),
        ("/log/**/*.log", "/log/sub/deep/out.log", "yes"),
        ("/log/**", "/log/sub/{service}.log", "yes"),
        ("/log/**/*.log", "/log/.hidden/out.log", "no"),
        ("/log/*.log", "/log/.out.log", "no"),
        ("/log/*.log", "/log/{service}.log", "yes"),
        ("/log/*.log", "/log/out-{timestamp:%Y-%m-%d}.log", "yes"),
        ("/log/*/*.log", "/log/{timestamp:%Y/%m}.log", "yes"),
        ("/log/app.log", "/log/{service:none}.log", "perhaps"),
        ("/log/app-[0-9].log", "/log/app-{n}.log", "perhaps"),
        ("/log/app-[0-9].log", "/log/app-{n}x.log", "no"),
        ("/log/app/*.log", "/log/{service}/out.log", "perhaps"),
        ("/log/a*z/*.log", "/log/{x}b{y}/out.log", "perhaps"),
        ("/log/a?/*.log", "/log/{x}bcd/out.log", "no"),
        ("/log/*.log", "/log/{{x}}.log", "yes"),
        ("/log/app.log", "/log/app.log", "yes"),
        ("/log/[ab]*.log", "/log/[a]{x}.log", "no"),
    ],
)
def test_what_is_found(include: str, template: str, expected: str) -> None:
    """Always, for some values of the fields, or never."""
    assert verdict(include, template) == expected


def test_what_is_excluded_is_not_read() -> None:
    """The way out that the problem's sentence names."""
    assert verdict("/log/*.log", "/log/out-{service}.log", "out-*.log") == "no"
    assert verdict("/log/**/*.log", "/log/out/{service}.log", "/log/out/*") == "no"
    assert verdict("/log/*.log", "/log/{service}.log", "out.log") == "yes"


def test_holes() -> None:
    """A field is a hole, a time one for each of its parts; braces are themselves."""
    assert holes("/a/{x}-{y:none}/{t:%Y/%m}{{") == f"/a/{HOLE}-{HOLE}/{HOLE}/{HOLE}{{"

"""`${NAME}` and its kin, put into single values after the YAML has been parsed, never into its structure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PART = re.compile(r"\$(?:\$|\{(?P<inside>[^{}]*)\}|(?P<open>\{))")
NAME = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:-|:\?)(?P<rest>.*))?", re.S)


def interpolate(text: str, env: Mapping[str, str], base: Path) -> str:
    """Raise ValueError with what was found and expected. Files are relative to `base`."""
    if "$" not in text:
        return text

    def put_in(found: re.Match[str]) -> str:
        inside = found["inside"]
        if found["open"]:
            raise ValueError("found ${ without a } of its own, expected ${NAME}, or $${ for the two characters")
        if inside is None:
            return "$"
        if inside.startswith("file:"):
            return _secret_file(inside[5:], base)
        name = NAME.fullmatch(inside)
        if name is None:
            shown = re.split(r"\W", inside, maxsplit=1)[0]  # what follows may be a secret
            raise ValueError(
                f"found ${{{shown}...}}, expected ${{NAME}}, ${{NAME:-default}}, ${{NAME:?message}} or ${{file:path}}"
            )
        value = env.get(name["name"], "")
        if value or (name["how"] is None and name["name"] in env):
            return value
        if name["how"] == ":-":
            return name["rest"]
        if name["how"] == ":?":
            raise ValueError(f"the environment has no {name['name']}: {name['rest'] or 'it must be set'}")
        raise ValueError(f"found ${{{inside}}}, expected the environment variable {inside} to be set")

    return PART.sub(put_in, text)


def _secret_file(name: str, base: Path) -> str:
    try:
        text = (base / name).read_text("utf-8")
    except (OSError, UnicodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"found ${{file:{name}}}, expected a file that can be read: {reason}") from error
    return text[:-1] if text.endswith("\n") else text

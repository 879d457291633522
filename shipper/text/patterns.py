"""Regular expressions of users: compiled in one place, and made fit to run over a whole chunk of lines at once."""

from __future__ import annotations

import re

__all__ = ["LONGEST", "TooSlow", "compile_pattern", "line_starts"]

LONGEST = 64 * 1024
"""Characters of a line that a pattern is run on; `re` holds the interpreter while it runs."""


class TooSlow(Exception):
    """A pattern was ended, or not tried, on a text; says why in words without the text."""


_TOKEN = re.compile(r"\\(?:.|$)|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|.", re.DOTALL)
_WITHIN_LINE = {r"\s": r"[^\S\n]", r"\D": r"[^\d\n]", r"\W": r"[^\w\n]"}
# what can see over the end of a line without taking it, or takes it, or means something else over a whole chunk
_FAR = re.compile(r"\\[AZz]|\(\?(?:[=!]|<[=!]|[a-zA-Z-]+[:)])|\\?\n|\\(?:n|N|x0[aA]|0?12|u000[aA]|U0{7}[aA])")


def compile_pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Python's `re`, and `(?<name>...)` as other tools write it. Raises ValueError with what is wrong and where."""
    try:
        return re.compile(_python_names(text), flags)
    except re.error as error:
        where = "" if error.pos is None else f" at column {error.pos + 1}"
        raise ValueError(f"{error.msg}{where} of {text!r}") from error
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"{error} in {text!r}") from error


def _python_names(text: str) -> str:
    """`(?<name>` as `(?P<name>`, but in classes and behind a backslash."""
    if "(?<" not in text:
        return text
    tokens = _TOKEN.findall(text)
    for at, char in enumerate(tokens):
        if char == "<" and tokens[at - 2 : at] == ["(", "?"] and tokens[at + 1 : at + 2] not in (["="], ["!"]):
            tokens[at] = "P<"
    return "".join(tokens)


def line_starts(pattern: re.Pattern[str]) -> re.Pattern[str] | None:
    """The newlines in front of lines in which a pattern that begins with `^` is found; None for one that needs each line by itself.

    With the newline in it `re` looks for one; at a `^` it tries each character: eight times the work. It sees no further than its
    line, and takes the newline alone, so `split` with it cuts a text where such lines begin.
    """
    text = _within_lines(pattern)
    if text is None or not text.startswith("^") or "|" in text:
        return None
    return re.compile(rf"\n(?={text[1:]})", pattern.flags | re.MULTILINE)


def _within_lines(pattern: re.Pattern[str]) -> str | None:
    """The pattern so that it does not read on in the next line; None for one that can look there all the same."""
    if _FAR.search(pattern.pattern) or pattern.flags & ~(re.UNICODE | re.ASCII | re.IGNORECASE):
        return None
    tokens = []
    for token in _TOKEN.findall(pattern.pattern):
        if token[0] != "[" or len(token) == 1:
            tokens.append(_WITHIN_LINE.get(token, token))
        elif token[1] == "^":
            # what may stand first in a class, as itself, means something else behind another character
            tokens.append(rf"[^\n\{token[2:]}" if token[2] in "]-" else rf"[^\n{token[2:]}")
        else:
            tokens.append(rf"(?:(?!\n){token})" if re.match(token, "\n") else token)
    return "".join(tokens)

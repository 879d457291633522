"""Stack traces of the usual languages: which lines belong to the one before.

The rules follow those of Google's detect-exceptions plugin for Fluentd (`exception_detector.rb`), with the
chained and marked tracebacks of today's Python. No rule takes more than linear time: who writes a line must not be
able to stall the reader.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import NamedTuple

from shipper.files.patterned import cut_at


class Rule(NamedTuple):
    """In one of the states `here`, a line in which the pattern is found leads to the state `then`."""

    here: str
    pattern: str
    then: str


_JAVA = (
    Rule("", r"(?:Exception|Error|Throwable|V8 errors stack trace)(?::|$)", "head"),
    Rule("head", r"^[\t ]*nested exception is:[\t ]*", "nested"),
    Rule("nested", r"(?:Exception|Error|Throwable)(?::|$)", "head"),
    Rule("head", r"^\r*$", "head"),
    Rule("head frames", r"^[\t ]+(?:eval )?at ", "frames"),
    Rule("head frames", r"^[\t ]+--- End of inner exception stack trace ---$", "frames"),
    Rule("head frames", r"^--- End of stack trace from previous location where exception was thrown ---$", "frames"),
    Rule("head frames", r"^[\t ]*(?:Caused by|Suppressed):", "head"),
    Rule("head frames", r"^[\t ]*\.\.\. \d+ (?:more|common frames omitted)", "frames"),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "java": _JAVA,
    "node": (
        *_JAVA,
        Rule("head frames", r"^[\t ]+(?:at |\[?(?:cause|errors)\]?: ?|\w+: )", "frames"),  # properties of the error
        Rule("head frames", r"^[\t ]*[\]})]+,?$", "frames"),
    ),
    "python": (
        Rule("", r"^(?:  \+ Exception Group )?Traceback \(most recent call last\):$", "trace"),
        Rule("trace", r"^[\t ]", "trace"),
        Rule("trace", r"^\S", "end"),  # the error itself
        Rule("end", r"^[\t ]*\|?$", "gap"),
        Rule("end", r"^[\t ]*[|+]", "end"),  # the branches of a group
        Rule("gap", r"^(?:During handling of the above exception|The above exception was the direct cause)", "chain"),
        Rule("chain", r"^$", "chain"),
        Rule("chain", r"^(?:  \+ Exception Group )?Traceback \(most recent call last\):$", "trace"),
    ),
    "go": (
        Rule("", r"\bpanic: ", "panic"),
        Rule("", r"http: panic serving", "goroutine"),
        Rule("panic", r"^\s+panic: ", "panic"),
        Rule("panic", r"^\[signal ", "panic"),
        Rule("panic frame", r"^$", "goroutine"),
        Rule("goroutine", r"^goroutine \d+ \[[^\]]+\]:$", "frame"),
        Rule("goroutine", r"^(?:exit status|rax|rip) ", "frame"),
        Rule("frame", r"^[^\s:]*[^\s():]\(|^created by |^\.\.\.", "place"),
        Rule("place", r"^\s", "frame"),
    ),
    "ruby": (
        Rule("", r"^(?>.*?Error \().*\):$", "rails"),
        Rule("", r"^(?>.*?\.rb:\d+:in [`']).*(?:Error|Exception)", "frames"),
        Rule("rails", r"^[\t ]*$", "frames"),
        Rule("rails frames", r"^[\t ].*?\.rb:\d+:in [`']", "frames"),
    ),
}  # fmt: skip

TRIGGERS = {
    "java": ("Exception", "Error", "Throwable", "V8 errors"),
    "node": ("Exception", "Error", "Throwable", "V8 errors"),
    "python": ("Traceback (most",),
    "go": ("panic",),
    "ruby": ("Error", ".rb:"),
}
"""What stands in a text in which a trace may begin: without one of these it is not looked at line by line."""

_State = tuple[str, str]  # language, state


class Traces:
    """Follows the lines of one stream; `open` while the next line may belong to the one before."""

    def __init__(self, *languages: str) -> None:
        rules: dict[_State, list[tuple[re.Pattern[str], str]]] = {}
        for language in languages:
            for rule in RULES[language]:
                for here in rule.here.split(" "):
                    rules.setdefault((language, here), []).append((re.compile(rule.pattern), rule.then))
        self._rules = rules
        self._languages = languages
        self._triggers = sorted({word for language in languages for word in TRIGGERS[language]})
        self._state: _State | None = None

    @property
    def open(self) -> bool:
        return self._state is not None

    def close(self) -> None:
        """What follows belongs to nothing before it."""
        self._state = None

    def slow(self) -> dict[str, str]:
        """Its own patterns take no time that grows faster than the line."""
        return {}

    def cut(self, text: str) -> list[str]:
        return cut_at(text, self.begins(text))

    def begins(self, text: str) -> list[int]:
        """Where in the text events begin; a line that is not among them belongs to the one before."""
        lines = text.split("\n")
        starts = list(accumulate(map((1).__add__, map(len, lines)), initial=0))
        starts.pop()
        suspects = self._suspects(text, starts)
        found: list[int] = []
        at, count = 0, len(lines)
        while at < count:
            if self._state is None:  # up to the next line in which a trace may begin there is nothing to look at
                due = bisect_left(suspects, at)
                found += starts[at : (at := suspects[due] if due < len(suspects) else count)]
                if at == count:
                    break
            if self._begins(lines[at]):
                found.append(starts[at])
            at += 1
        return found

    def _suspects(self, text: str, starts: list[int]) -> list[int]:
        """The numbers of the lines in which one of the triggers stands."""
        found: set[int] = set()
        for word in self._triggers:
            at = text.find(word)
            while at >= 0:
                behind = bisect_right(starts, at)
                found.add(behind - 1)
                at = text.find(word, starts[behind]) if behind < len(starts) else -1
        return sorted(found)

    def _begins(self, line: str) -> bool:
        if self._state is not None:
            language = self._state[0]
            for pattern, then in self._rules.get(self._state, ()):
                if pattern.search(line):
                    self._state = language, then
                    return False
        self._state = None
        for language in self._languages:
            for pattern, then in self._rules[language, ""]:
                if pattern.search(line):
                    self._state = language, then
                    return True
        return True

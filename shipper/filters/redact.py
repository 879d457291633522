"""The `redact` filter: personal data and secrets are found, checked, and hidden before anything leaves."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from shipper.batch import Attrs, Batch, Event
from shipper.component import Filter
from shipper.options import Meta, Secret, option
from shipper.text.credentials import CREDENTIALS, is_secret_name
from shipper.text.detectors import Detector
from shipper.text.identifiers import IDENTIFIERS
from shipper.text.ids import put, taken
from shipper.text.ownpatterns import OwnPatterns, allowance
from shipper.text.paths import MISSING, FieldPath
from shipper.text.patience import Ticking, TooSlow, warning
from shipper.text.redaction import REMOVED, Redactor, Unreadable
from shipper.text.screening import Screen, Work

DETECTORS = {detector.name: detector for detector in (*CREDENTIALS, *IDENTIFIERS)}
DIGEST = 16
"""Hexadecimal digits kept of a hash: 64 bits tell a billion values apart."""
MESSAGE = FieldPath("message")
R = TypeVar("R")


class Redact(Filter):
    """Finds personal data and secrets in events and hides them, before anything is encoded or stored.

    Every value of an event is searched, nested ones and the names of fields too; what is found is checked
    (Luhn, mod 97, dates, lengths), so that an order number is no card. `password` also hides whole fields by
    their names (`password`, `db_secret`, `x-api-key`, ...). What the batch's attributes hold (`file`, `peer`,
    `host`) is searched only where `fields` names it.

    It belongs behind `parse`: in a line of JSON that nobody parsed, `ann\\u0040example.com` is no address yet.
    A private key whose lines come as events of their own is hidden only up to the end of its first line; let
    the input join them (`multiline`). An event that cannot be searched is never let through: see `on_error`.

    What stands for a value: `mask` `[email]`; `remove` nothing; `hash` `[email:9c56a9b1d4e0f7a2]` (SHA-256:
    guessable for short values such as card numbers); `hmac` the same, keyed (HMAC-SHA-256), so that equal
    values stay joinable and nobody without the key can guess them; `partial` `****1111`, `a***@example.com`,
    `10.0.0.*`, and `****` for what must not be shown in part.
    """

    one_each: ClassVar[bool] = True

    on_error: Annotated[
        Literal["pass", "drop", "dead_letter"],
        Meta(description="What becomes of an event that cannot be searched; `pass` lets it through, marked."),
    ] = "dead_letter"
    detect: Annotated[
        list[
            Literal[
                "email", "credit_card", "iban", "ipv4", "ipv6", "phone", "us_ssn", "kr_rrn", "jwt", "aws_key",
                "private_key", "bearer_token", "password", "url_credentials", "gcp_key", "azure_key", "github_token",
                "gitlab_token", "slack_token", "stripe_key", "openai_key", "npm_token",
            ]
        ],
        Meta(description="What is looked for."),
    ] = option(list)  # fmt: skip
    patterns: Annotated[
        dict[str, re.Pattern[str]],
        Meta(
            description="Regular expressions of your own, by the name that stands for what they find. "
            "With a group named `value`, only that is hidden. Each costs a search in every value."
        ),
    ] = option(dict)
    fields: Annotated[
        list[FieldPath],
        Meta(description="Only these fields, and what is below them; all of the event's own by default."),
    ] = option(list)
    action: Annotated[
        Literal["mask", "remove", "hash", "hmac", "partial"],
        Meta(description="What is put in the place of a value; `remove` takes a field with a secret name out whole."),
    ] = "mask"
    key: Annotated[Secret | None, Meta(description="Key of `action: hmac`; at least 16 characters.")] = None
    allow: Annotated[
        list[str],
        Meta(
            description="Values that are left as they are: exactly as written, or, between slashes, a regular "
            "expression for the whole value, such as `/.*@example[.]com/`."
        ),
    ] = option(list)

    def check(self) -> Iterable[tuple[str, str]]:
        if not self.detect and not self.patterns:
            yield "detect", "nothing to look for: name some detectors, or give patterns"
        for name, pattern in self.patterns.items():
            if not re.fullmatch(r"[\w.-]+", name):
                yield "patterns", f"{name!r} stands for values in events: letters, digits, '_', '.' and '-' only"
            if pattern.search(""):
                yield "patterns", f"{name!r} finds the empty text: it would be everywhere"
        if self.action == "hmac" and self.key is None:
            yield "key", "action: hmac needs a key"
        if self.key is not None and self.action != "hmac":
            yield "key", "only action: hmac uses a key"
        if self.key is not None and len(self.key.reveal()) < 16:
            yield "key", "shorter than 16 characters, so that it can be guessed"
        for text in self.allow:
            try:
                allowance(text)
            except ValueError as error:
                yield "allow", f"{text!r} is no regular expression: {error}"

    def warnings(self) -> Iterable[tuple[str, str]]:
        for index, text in enumerate(self.allow):
            given = allowance(text)
            if isinstance(given, re.Pattern) and (said := warning(given, whole=True)):
                yield f"allow[{index}]", said

    def apply(self, batch: Batch) -> Batch:
        redactor = self._redactor
        redactor.found = {}
        attrs = self._attrs(batch.attrs) if self.fields else batch.attrs
        if batch.is_lines:
            if not self.fields or MESSAGE in self.fields:
                batch, failed = self._timed(batch.size, lambda: self._lines(batch))
                for number, reason in failed.items():
                    self.fault(batch.events[number], f"redact: {reason}")
        else:
            events = batch.events
            ids = taken(events)  # they are random, and nothing to hide
            try:
                made = self._timed(batch.size, lambda: self._events(events))
                if redactor.found:
                    batch.events = made
            finally:
                put(batch.events, ids)
        batch.attrs = attrs
        for name, count in redactor.found.items():
            self.scope.count("redacted", count, detector=name)
        return batch

    def _timed(self, size: int, search: Callable[[], R]) -> R:
        """With risky patterns: all in one go against the clock, and when it rings once more, each text against its own."""
        own = self._own
        if not own.risky:
            return search()
        try:
            return own.patience.chunk(size, search)
        except TooSlow:
            self._faults, self._redactor.found, own.timeouts = None, {}, 0
        with Ticking():
            found = search()
        if own.timeouts:
            self.scope.count("regex_timeouts", own.timeouts)
        return found

    def _lines(self, batch: Batch) -> tuple[Batch, dict[int, str]]:
        """Lines that nobody decoded stay undecoded; only those with something in them are taken apart.

        Besides, the numbers of those that cannot be searched, and why.
        """
        redactor, raw, risky = self._redactor, batch.raw, self._own.risky
        assert raw is not None
        failed: dict[int, str] = {}
        due = self._screen.lines(raw, len(batch))
        if not due:
            return batch, failed
        lines = raw.split(b"\n")
        for number, work in due.items():
            text = lines[number].decode("utf-8", "replace")
            before = redactor.found.copy() if risky else {}
            try:
                made = redactor.text(text, work)
            except Unreadable as error:
                redactor.found = before
                failed[number] = str(error)
                continue
            if made is not text:
                lines[number] = made.encode()
        if not redactor.found:
            return batch, failed
        whole = b"\n".join(lines)
        return Batch(raw=whole, attrs=batch.attrs, decode=batch.decode, size=batch.size, ids=batch.ids), failed

    def _events(self, events: list[Event]) -> list[Event]:
        """What changes is copied, so that a failure leaves the batch as it came."""
        redactor, screen = self._redactor, self._screen
        made: list[Event] = events.copy()
        failed: set[int] = set()
        for path in self._paths or (None,):
            seen = events if path is None else [path.get(event) for event in events]
            secret = path is not None and self._is_secret(path)
            due = dict.fromkeys(range(len(events)), screen.work) if secret else screen.events(seen)
            for place, work in due.items():
                if place in failed:
                    continue
                before = redactor.found.copy()
                try:
                    made[place] = (
                        redactor.mapping(made[place], work) if path is None else self._at(path, made[place], work)
                    )
                except (Unreadable, RecursionError) as error:
                    reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
                    redactor.found = before
                    failed.add(place)
                    made[place] = events[place]
                    self.fault(events[place], f"redact: {reason}")
        return made

    def _at(self, path: FieldPath, event: Event, work: Work) -> Event:
        """The event, or a copy in which this field has been searched."""
        redactor, value = self._redactor, path.find(event)
        if value is MISSING:
            return event
        fresh: Any = redactor.hidden(value) if self._is_secret(path) else redactor.value(value, work)
        if fresh is value:
            return event
        event = event.copy()
        if fresh is REMOVED:
            path.pop(event)
        else:
            path.set(event, fresh)
        return event

    def _is_secret(self, path: FieldPath) -> bool:
        return self._redactor.password is not None and is_secret_name(path.keys[-1])

    def _attrs(self, attrs: Attrs) -> Attrs:
        """Attributes are searched once for the batch, where `fields` names them."""
        made = dict(attrs)
        for path in self._paths:
            made = self._at(path, made, self._screen.work)
        return made if made != attrs else attrs

    @cached_property
    def _paths(self) -> list[FieldPath]:
        """The fields; and, for each nested one, the key that is literally `a.b`, as both can be in an event."""
        return [*self.fields, *(FieldPath.of(path.tops[1]) for path in self.fields if len(path.keys) > 1)]

    @cached_property
    def _own(self) -> OwnPatterns:
        return OwnPatterns(self.patterns, self.allow)

    @cached_property
    def _screen(self) -> Screen:
        return Screen(
            [*self._own.detectors, *(detector for name, detector in DETECTORS.items() if name in self.detect)]
        )

    @cached_property
    def _redactor(self) -> Redactor:
        return Redactor(self._screen.work, self._replacement(), self._own.allowed, self.action == "remove")

    def _replacement(self) -> Callable[[Detector, str], str]:
        match self.action:
            case "mask":
                return lambda detector, value: f"[{detector.name}]"
            case "remove":
                return lambda detector, value: ""
            case "partial":
                return lambda detector, value: detector.partial(value)
            case "hash":
                return lambda detector, value: _stands_for(detector, hashlib.sha256(_normal(detector, value)))
            case "hmac":
                assert self.key is not None
                secret = self.key.reveal().encode()
                return lambda detector, value: _stands_for(
                    detector, hmac.new(secret, _normal(detector, value), "sha256")
                )


def _normal(detector: Detector, value: str) -> bytes:
    return detector.normal(value).encode("utf-8", "surrogatepass")


def _stands_for(detector: Detector, digest: Any) -> str:
    return f"[{detector.name}:{digest.hexdigest()[:DIGEST]}]"

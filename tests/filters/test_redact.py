"""Nothing that was looked for gets through, nothing else is changed, and what cannot be read is set aside."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.batch import Batch, Event
from shipper.filters.redact import DETECTORS, Redact
from shipper.options import Secret
from shipper.testing import check_filter, filtered
from shipper.text.paths import FieldPath
from shipper.text.redaction import Redactor

CARD = "4111 1111 1111 1111"
BOTH: Any = ["email", "credit_card"]


def one(subject: Redact, event: Event) -> Event:
    (found,) = filtered(subject, [event])
    return found


def test_contract() -> None:
    """It keeps the contract of filters."""
    check_filter(lambda: Redact(detect=list(DETECTORS)))
    check_filter(lambda: Redact(detect=BOTH), [{"message": f"ann@example.com {CARD}"}, {"n": 1}])


def test_masks_everywhere() -> None:
    """Values are hidden in texts, nested values, lists and numbers, and nothing else changes."""
    event = {
        "msg": f"from ann@example.com with {CARD}.",
        "user": {"mail": "b@x.org", "tags": ["x", "c@x.org", {"d": "d@x.org"}], "age": 7},
        "pan": 4111111111111111, "time": 1785585600000, "ratio": 0.4111111111111111, "ok": True, "none": None,
    }  # fmt: skip
    assert one(Redact(detect=BOTH), event) == {
        "msg": "from [email] with [credit_card].",
        "user": {"mail": "[email]", "tags": ["x", "[email]", {"d": "[email]"}], "age": 7},
        "pan": "[credit_card]", "time": 1785585600000, "ratio": 0.4111111111111111, "ok": True, "none": None,
    }  # fmt: skip


def test_numbers_with_a_point() -> None:
    """A number is searched however it is written: a card as a float, and what an own pattern means."""
    subject = Redact(detect=BOTH, patterns={"latitude": re.compile(r"37\.\d+")})
    event: Event = {"pan": 4111111111111111.0, "at": [37.5665, 126.978], "took": 0.25}
    assert one(subject, event) == {"pan": "[credit_card].0", "at": ["[latitude]", 126.978], "took": 0.25}


def test_names_below_a_secret_name() -> None:
    """Of a mapping under a secret name the names are searched, too."""
    event = {"secret": {"a@x.org": "x", "b@x.org": {"c@x.org": 1, "d": 2}}}
    hidden = {"[email]": "[password]", "[email]#2": {"[email]": "[password]", "d": "[password]"}}
    assert one(Redact(detect=["password", "email"]), event) == {"secret": hidden}


def test_a_field_that_is_there_twice() -> None:
    """A path that finds a nested field and a key with a dot in it is searched in both."""
    subject = Redact(detect=["email"], fields=[FieldPath("user.mail")])
    event = {"user": {"mail": "a@x.org"}, "user.mail": "b@x.org"}
    assert one(subject, event) == {"user": {"mail": "[email]"}, "user.mail": "[email]"}
    batch = subject.apply(Batch([{"n": 1}], attrs=event))
    assert dict(batch.attrs) == {"user": {"mail": "[email]"}, "user.mail": "[email]"}


def test_names_of_fields() -> None:
    """An address that is the name of a field is hidden, and two that become equal both stay."""
    assert one(Redact(detect=["email"]), {"by": {"a@x.org": 1, "b@x.org": {"n": 2}, "c": 3}}) == {
        "by": {"[email]": 1, "[email]#2": {"n": 2}, "c": 3}
    }


def test_secret_fields() -> None:
    """`password` hides what is under a name that says so, whatever it is, and values assigned inside texts."""
    event = {"password": "x", "cfg": {"api_key": 12345, "token": {"a": ["t", None, True]}, "keys": 3}, "m": "pwd=a1 b"}
    assert one(Redact(detect=["password"]), event) == {
        "password": "[password]",
        "cfg": {"api_key": "[password]", "token": {"a": ["[password]", None, True]}, "keys": 3},
        "m": "pwd=[password] b",
    }
    assert one(Redact(detect=["password"], action="remove"), event) == {"cfg": {"keys": 3}, "m": "pwd= b"}


def test_actions() -> None:
    """Each action puts its own form in the place of a value; equal values in other clothes hash alike."""
    event = {"m": f"Ann@Example.com {CARD} 10.1.2.3"}
    detect: Any = [*BOTH, "ipv4"]
    assert one(Redact(detect=detect, action="partial"), event) == {"m": "A***@Example.com ****1111 10.1.2.*"}
    assert one(Redact(detect=detect, action="remove"), event) == {"m": "  "}
    digest = hashlib.sha256(b"4111111111111111").hexdigest()[:16]
    hashes = Redact(detect=["credit_card"], action="hash")
    assert one(hashes, {"a": CARD, "b": "4111-1111-1111-1111"}) == {
        "a": f"[credit_card:{digest}]", "b": f"[credit_card:{digest}]",
    }  # fmt: skip
    keyed = hmac.new(b"k" * 16, b"ann@example.com", "sha256").hexdigest()[:16]
    assert one(Redact(detect=["email"], action="hmac", key=Secret("k" * 16)), {"m": "Ann@example.com"}) == {
        "m": f"[email:{keyed}]"
    }


def test_partial_never_shows_secrets() -> None:
    """A password is hidden wholly whatever the action."""
    assert one(Redact(detect=["password"], action="partial"), {"password": "hunter22222"}) == {"password": "****"}


def test_patterns() -> None:
    """Patterns of one's own go first, hide whole matches or their group `value`, and look at numbers too."""
    subject = Redact(
        detect=["email"],
        patterns={
            "order": re.compile(r"\bORD-\d+\b"),
            "who": re.compile(r"user=(?P<value>\S+)"),
            "no": re.compile(r"^77\d+$"),
        },
    )
    assert one(subject, {"m": "ORD-12 user=ann@x.org b@x.org", "n": 7712, "k": 12}) == {
        "m": "[order] user=[who] [email]", "n": "[no]", "k": 12,
    }  # fmt: skip


def test_allow() -> None:
    """Allowed values stay: exactly as written, or by a regular expression between slashes for the whole value."""
    subject = Redact(detect=["email"], allow=["info@x.org", "/.*@example[.]com/"])
    assert one(subject, {"m": "info@x.org Info@x.org ann@example.com ann@example.com.evil.net"}) == {
        "m": "info@x.org [email] ann@example.com [email]"
    }


def test_fields() -> None:
    """With `fields` only those are searched, in events and in attributes; attributes are replaced, not changed."""
    attrs = MappingProxyType({"file": "/home/ann@example.com/x.log", "peer": "b@x.org"})
    subject = Redact(detect=["email"], fields=[FieldPath(path) for path in ("msg", "user.mail", "file", "gone.x")])
    batch = subject.apply(
        Batch(
            [{"msg": "a@x.org", "other": "b@x.org", "user": {"mail": "c@x.org", "id": "d@x.org"}}, {"msg": 7}],
            attrs=attrs,
        )
    )
    assert batch.events == [
        {"msg": "[email]", "other": "b@x.org", "user": {"mail": "[email]", "id": "d@x.org"}}, {"msg": 7},
    ]  # fmt: skip
    assert dict(batch.attrs) == {"file": "/home/[email]/x.log", "peer": "b@x.org"}
    assert attrs["file"] == "/home/ann@example.com/x.log"
    secret = Redact(detect=["password"], fields=[FieldPath("a.password")])
    assert one(secret, {"a": {"password": "plain"}, "password": "stays"}) == {
        "a": {"password": "[password]"},
        "password": "stays",
    }


def test_lines_stay_lines() -> None:
    """Lines that nobody decoded stay undecoded; untouched ones keep their bytes, even those that are not UTF-8."""
    raw = b"clean \xff\nfrom ann@example.com\n\nlast"
    subject = Redact(detect=BOTH)
    batch = subject.apply(Batch(raw=raw, attrs={"host": "h"}))
    assert batch.is_lines
    assert batch.raw == b"clean \xff\nfrom [email]\n\nlast"
    assert dict(batch.attrs) == {"host": "h"}
    clean = Batch(raw=b"nothing\nhere")
    assert subject.apply(clean) is clean
    assert clean.is_lines
    elsewhere = Redact(detect=BOTH, fields=[FieldPath("other")]).apply(Batch(raw=raw))
    assert elsewhere.raw == raw
    assert Redact(patterns={"x": re.compile("l.st")}).apply(Batch(raw=raw)).events[3] == {"message": "[x]"}


def test_counts_by_detector() -> None:
    """What was hidden is counted by detector, once, and never shown."""
    subject = Redact(detect=BOTH)
    filtered(subject, [{"m": f"a@x.org b@x.org {CARD}"}, {"m": "c@x.org"}])
    assert subject.scope.counters == {
        ("redacted", (("detector", "email"),)): 3,
        ("redacted", (("detector", "credit_card"),)): 1,
    }


@dataclass
class Odd:
    mail: str = "ann@example.com"


def test_unreadable_is_set_aside() -> None:
    """An event that holds what cannot be read stays as it came and is reported; the others are done."""
    subject = Redact(detect=BOTH)
    deep: Any = "ann@example.com"
    for _ in range(5000):
        deep = [deep]
    events: list[Event] = [{"m": "a@x.org"}, {"o": Odd(), "m": "a@x.org"}, {"d": deep}, {"m": "b@x.org"}]
    batch = subject.apply(Batch(list(events)))
    assert batch.events[0] == batch.events[3] == {"m": "[email]"}
    assert batch.events[1] is events[1]
    faults = subject.faults() or []
    assert [event for event, _ in faults] == [events[1], events[2]]
    assert [reason for _, reason in faults] == [
        "redact: a value of the type Odd cannot be read",
        "redact: nested too deep",
    ]
    assert subject.on_error == "dead_letter"
    assert subject.scope.counters["redacted", (("detector", "email"),)] == 2


def test_a_failure_leaves_the_batch_as_it_came() -> None:
    """Events are never changed in place: a second run of the same events hashes them once, not twice."""
    events: list[Event] = [{"m": "a@x.org", "n": {"l": ["b@x.org"]}}, {"m": "c@x.org"}]
    before = copy.deepcopy(events)
    subject = Redact(detect=["email"], action="hash")
    first = subject.apply(Batch(list(events))).events
    assert events == before
    assert subject.apply(Batch(list(events))).events == first != before


def test_hostile_values() -> None:
    """Lone surrogates, newlines, huge numbers and empty things neither hide a value nor stop the search."""
    subject = Redact(detect=BOTH)
    events: list[Event] = [
        {"m": "\ud800 a@x.org"},
        {"m": "x\na@x.org\n"},
        {},
        {"": "a@x.org"},
        {"n": 2**70},
        {"f": float("nan")},
    ]
    found = filtered(subject, events)
    assert found[:5] == [{"m": "\ud800 [email]"}, {"m": "x\n[email]\n"}, {}, {"": "[email]"}, {"n": 2**70}]
    assert found[5]["f"] != found[5]["f"]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "detect"),
        ({"detect": ["email"], "action": "hmac"}, "key"),
        ({"detect": ["email"], "action": "hmac", "key": Secret("short")}, "key"),
        ({"detect": ["email"], "key": Secret("k" * 16)}, "key"),
        ({"patterns": {"x": re.compile("a*")}}, "patterns"),
        ({"patterns": {"a b": re.compile("a")}}, "patterns"),
        ({"detect": ["email"], "allow": ["/(/"]}, "allow"),
    ],
)
def test_check(options: dict[str, Any], option: str) -> None:
    """Options that make no sense together are said at the start, by the option's name."""
    assert [name for name, _ in Redact(**options).check()] == [option]


def test_check_passes() -> None:
    """What is right is not complained about."""
    assert not list(Redact(detect=["email"], action="hmac", key=Secret("k" * 16), allow=["/a+/", "+1 555"]).check())


# ---- the shortcuts are sound
SECRETS = [
    "ann@example.com", "q%40example.org", "josé@exämple.de", CARD, "4111111111111111", "378282246310005",
    "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "10.20.30.40", "2001:db8::42", "123-45-6789", "900101-1234568",
    "+82 10-1234-5678", "010-9876-5432", "AKIA" + "IOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0.sig",
]  # fmt: skip
keys = st.one_of(st.sampled_from(["m", "password", "x-token", "n", *SECRETS[:4]]), st.text(max_size=3))
texts = st.lists(
    st.one_of(
        st.sampled_from(SECRETS),
        st.sampled_from([" ", "\n", '"', "\\", "=", "password=", ":17", "0.", "1", ","]),
        st.text(max_size=5),
    ),
    max_size=5,
).map("".join)
leaves = st.one_of(
    texts,
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(-(2**66), 2**66),
    st.sampled_from([4111111111111111, 5500000000000004]),
)
values = st.recursive(
    leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)), max_leaves=8
)
events_of = st.lists(st.dictionaries(keys, values, max_size=4), max_size=6)
some = st.lists(st.sampled_from(sorted(DETECTORS)), min_size=1, unique=True)


def slow_twin(detect: list[Any], action: Any, event: Event) -> Any:
    """Every finder on every value, without a look at any sign."""
    everywhere = [(detector, lambda text: True) for name, detector in DETECTORS.items() if name in detect]
    replace = Redact(detect=detect, action=action)._redactor.replace
    return Redactor(everywhere, replace, removes=action == "remove").mapping(event, everywhere)


@settings(max_examples=300, deadline=None)
@given(events_of, some, st.sampled_from(["mask", "remove", "hash", "partial"]))
def test_the_fast_way_equals_the_slow_one(events: list[Event], detect: list[Any], action: Any) -> None:
    """Whatever the signs leave out, every finder would have found nothing there."""
    assert filtered(Redact(detect=detect, action=action), events) == [
        slow_twin(detect, action, event) for event in events
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=20) | texts.map(lambda text: text.encode("utf-8", "replace")), min_size=1, max_size=5),
    some,
)
def test_lines_equal_events(parts: list[bytes], detect: list[Any]) -> None:
    """Undecoded lines give what the same lines give as events."""
    raw = b"\n".join(parts)
    events = Batch(raw=raw).events
    assert Redact(detect=detect).apply(Batch(raw=raw)).events == filtered(Redact(detect=detect), events)


def strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for key, item in value.items() for text in (*strings(key), *strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [str(value)]


@settings(max_examples=200, deadline=None)
@given(events_of, st.sampled_from(SECRETS), keys, st.integers(0, 5))
def test_planted_secrets_never_get_through(events: list[Event], secret: str, key: str, place: int) -> None:
    """A secret that stands alone between spaces, anywhere in any event, is gone from the JSON that comes out."""
    event: Any = {key: [f"see {secret} there"]} if place % 2 else {"outer": {f"see {secret} there": key}}
    found = filtered(Redact(detect=list(DETECTORS)), [*events, event])[-1]
    assert not any(f" {secret} " in text for text in strings(found))
    json.dumps(found)

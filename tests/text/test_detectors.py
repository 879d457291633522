"""What the detectors find, what they leave alone, and that neither takes long."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.filters.redact import DETECTORS, Redact
from shipper.text.credentials import is_secret_name
from shipper.text.screening import Screen

# assembled here, so that no scanner of repositories mistakes them for real ones
AWS_ID = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + "abc-DEF_1"
PEM = "-----BEGIN RSA PRIVATE KEY-----"
GITHUB = "ghp_" + "a1" * 18
SLACK = "xoxb-" + "123456789012-abcdefABCDEF"
STRIPE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
AZURE = "A" * 86 + "=="

FOUND: list[tuple[str, str, list[str]]] = [
    ("email", "from ann@example.com, b.c+d@mail.x.co.uk.", ["ann@example.com", "b.c+d@mail.x.co.uk"]),
    ("email", "?to=ann%40example.com&x", ["ann%40example.com"]),
    ("email", "josé@example.com メールann@example.comに 用户@例子.广告", ["josé@example.com", "ann@example.com", "用户@例子.广告"]),
    ("email", "https://h/p/ann@example.com-foo <o'hara@x.org>", ["ann@example.com", "o'hara@x.org"]),
    ("credit_card", "4111 1111 1111 1111 or 4111-1111-1111-1111", ["4111 1111 1111 1111", "4111-1111-1111-1111"]),
    ("credit_card", "378282246310005;3782 822463 10005;4222222222222", ["378282246310005", "3782 822463 10005", "4222222222222"]),
    ("credit_card", "id 17 4111 1111 1111 1111 12/26 no.5500000000000004", ["4111 1111 1111 1111", "5500000000000004"]),
    ("credit_card", "5500000000000004 4111111111111111", ["5500000000000004", "4111111111111111"]),
    ("credit_card", "a\\n4111111111111111; 4 1-1 1-1 1 1 1-1 1 1-1 1 1-1 1", ["4111111111111111", "4 1-1 1-1 1 1 1-1 1 1-1 1 1-1 1"]),
    ("credit_card", "4222222222222.1234567890123", ["4222222222222"]),
    ("iban", "DE89 3704 0044 0532 0130 00 EUR, gb82west12345698765432", ["DE89 3704 0044 0532 0130 00", "gb82west12345698765432"]),
    ("iban", "NO93 8601 1117 947.", ["NO93 8601 1117 947"]),
    ("ipv4", "10.0.0.1:80 and ip-192.168.1.254.", ["10.0.0.1", "192.168.1.254"]),
    ("ipv6", "[2001:db8::1]:443 fe80::1: x ip:::1 ::ffff:10.0.0.1", ["2001:db8::1", "fe80::1", "::1", "::ffff:10.0.0.1"]),
    ("ipv6", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", ["2001:0db8:85a3:0000:0000:8a2e:0370:7334"]),
    ("phone", "+82 10-1234-5678 +14155552671 +1 (555) 123-4567", ["+82 10-1234-5678", "+14155552671", "+1 (555) 123-4567"]),
    ("phone", "(555) 123-4567, 1-800-555-1234, 010-1234-5678, 06 12 34 56 78",
     ["(555) 123-4567", "1-800-555-1234", "010-1234-5678", "06 12 34 56 78"]),
    ("us_ssn", "123-45-6789 and 123 45 6789", ["123-45-6789", "123 45 6789"]),
    ("kr_rrn", "900101-1234568 9001011234568", ["900101-1234568", "9001011234568"]),
    ("kr_rrn", "201101-3123456", ["201101-3123456"]),
    ("jwt", f"token {JWT}, x", [JWT]),
    ("aws_key", f"{AWS_ID} aws_secret_access_key = {AWS_SECRET}", [AWS_ID, AWS_SECRET]),
    ("private_key", f"a {PEM}\nabc\n-----END RSA PRIVATE KEY----- b", [f"{PEM}\nabc\n-----END RSA PRIVATE KEY-----"]),
    ("private_key", f"cut off: {PEM}\\nMIIE", [f"{PEM}\\nMIIE"]),
    ("bearer_token", "Authorization: Bearer abcdef123 x", ["abcdef123"]),
    ("bearer_token", "authorization: Basic dXNlcjpw", ["dXNlcjpw"]),
    ("bearer_token", '{"Authorization":"Bearer abc.def-1"}', ["abc.def-1"]),
    ("password", "password=hunter2 db_password=x,user=bob api_key=abc&x=1", ["hunter2", "x", "abc"]),
    ("password", '"password": "a b\\"c", "u":1', ['a b\\"c']),
    ("password", '{\\"password\\":\\"a\\\\\\"b\\",\\"u\\":\\"x\\"}', ['a\\\\\\"b']),
    ("password", "Password=p;User=b PASSWORD='x y' passwd: abc;d pass=q", ["p", "x y", "abc;d", "q"]),
    ("password", 'password="never closed and long', ["never closed and long"]),
    ("url_credentials", "postgres://u:p@h/db redis://:pw@h http://u:p@ss@h/", ["u:p", ":pw", "u:p@ss"]),
    ("gcp_key", "AIza" + "x" * 35, ["AIza" + "x" * 35]),
    ("azure_key", f"AccountName=a;AccountKey={AZURE};E=x", [AZURE]),
    ("github_token", f"x {GITHUB} y", [GITHUB]),
    ("gitlab_token", "glpat-" + "a" * 20, ["glpat-" + "a" * 20]),
    ("slack_token", f"{SLACK}!", [SLACK]),
    ("stripe_key", STRIPE, [STRIPE]),
    ("openai_key", "sk-" + "a1" * 20, ["sk-" + "a1" * 20]),
    ("npm_token", "npm_" + "a1" * 18, ["npm_" + "a1" * 18]),
]  # fmt: skip
CLEAN: list[tuple[str, str]] = [
    ("email", "lodash@4.17.21 a@b @ann root@localhost"),
    ("credit_card", "4111111111111112 1785585600000 1785585600000000000 0.4111111111111111"),
    ("credit_card", "41111111-1111-1111-1111-411111111111 a4111111111111111 4111111111111111b"),
    ("iban", "DE89370400440532013001 DE8937040044 XX89370400440532013000"),
    ("ipv4", "v1.2.3.4 1.2.3.4.5 256.1.1.1 1.2.3"),
    ("ipv6", "12:00:00 std::vector a::b 00:11:22:33:44:55 Add::Bad"),
    ("phone", "2026-08-01T12:00:00+09:00 200 512 1234 12:00:01 200 512 +1234"),
    ("us_ssn", "000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000 2026-123-45-6789"),
    ("kr_rrn", "900101-1234567 881301-1234567 900231-1234568 9001011234567"),
    ("jwt", "eyJ abc.def"),
    ("aws_key", "AKIA1234 XAKIAIOSFODNN7EXAMPLE"),
    ("bearer_token", "bearer authentication failed"),
    ("password", "max_tokens=5 token: expired pwd=/home/ann passwords differ secret= password=null"),
    ("url_credentials", "https://git@github.com http://h:80/a@b.c mailto:ann@x.org"),
]


@pytest.mark.parametrize(("name", "text", "values"), FOUND)
def test_finds(name: str, text: str, values: list[str]) -> None:
    """Each value is found with exactly its bounds, and its sign is there."""
    detector = DETECTORS[name]
    assert [text[start:end] for start, end in detector.find(text)] == values
    assert detector.possible()(text)


@pytest.mark.parametrize(("name", "text"), CLEAN)
def test_leaves_alone(name: str, text: str) -> None:
    """What only looks alike is no value."""
    assert [text[start:end] for start, end in DETECTORS[name].find(text)] == []


def test_options_name_every_detector() -> None:
    """`detect` takes exactly the detectors that there are, and each of them is tested above."""
    annotation = get_type_hints(Redact)["detect"]
    (literal,) = get_args(annotation)
    assert set(get_args(literal)) == set(DETECTORS)
    assert {name for name, _, _ in FOUND} == set(DETECTORS)


def test_secret_names() -> None:
    """Names of fields say that they are secret by their last word."""
    yes = ["password", "db_password", "x-api-key", "clientSecret", "Authorization", "access.token", "API KEY", "pass"]
    no = ["tokens", "passenger", "bypass", "key", "secretary", "monkey", "password_changed_at"]
    assert [is_secret_name(name) for name in yes] == [True] * len(yes)
    assert [is_secret_name(name) for name in no] == [False] * len(no)


HOSTILE = [
    "@", "a@", "@a.", "a@a.", "%40a", "a.", "1", "4", "4 ", "4-", "11 ", "1.", "1.1.1.1.", "0.1", "::", "1:", ":a", "a:b:",
    "eyJ", "eyJa.", "eyJaaaaaa.aaaa.", "AKIA", "password=", "password=a,", "password='", 'password="\\', 'token\\"', "key:",
    '\\"', "\\", "://", "://a:", "://a@", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "bearer ", "authorization:", "DE89",
    "DE89 ", "AA00", "+1", "+1 ", "(555) ", "555-", "01-", "sk-", "xoxb-", "ghp_", "gl", "sig=", "AccountKey=", "%", "secret_key=",
    "secret", " ", "\n", "é", "용", "\\n4", "1-1-", "000-00-", "pass=&", "a=", "][", "x-", "hooks.slack.com/services/",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_linear(name: str) -> None:
    """No text makes a detector slow: 100,000 characters of repeated beginnings take far less than a second."""
    find = DETECTORS[name].find
    for unit in HOSTILE:
        for tail in ("", "!", "a", "@", '"', "4"):
            text = unit * (100_000 // len(unit)) + tail
            before = time.thread_time()
            list(find(text))
            assert time.thread_time() - before < 1.0, (name, unit, tail)


parts = st.one_of(
    st.sampled_from([value for _, text, values in FOUND for value in (text, *values)]),
    st.sampled_from(HOSTILE),
    st.text(max_size=6),
    st.text("0123456789-. :@%+=\"'\\/abcdefkeyAKIADE\n", max_size=12),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(parts, max_size=8).map("".join), st.booleans())
def test_signs_are_wherever_values_are(text: str, upper: bool) -> None:
    """Where a value is found, the quick test says possible, and so does the search through the whole chunk."""
    text = text.upper() if upper else text
    for detector in DETECTORS.values():
        found = list(detector.find(text))
        assert all(0 <= start < end <= len(text) for start, end in found), detector.name
        assert all(one[1] <= two[0] for one, two in pairwise(found)), detector.name
        if found:
            assert detector.possible()(text), detector.name
    for line in text.split("\n"):
        due = {each.name for each, _ in Screen(DETECTORS.values()).lines(f"x\n{line}\ny".encode(), 3).get(1, [])}
        assert {detector.name for detector in DETECTORS.values() if list(detector.find(line))} <= due

"""Detectors of people and machines: addresses, telephones, national numbers; checked, not guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from operator import mul

from shipper.text.accounts import CARD_DETECTOR, IBAN_DETECTOR, THIRTEEN
from shipper.text.detectors import (
    DIGITS,
    Detector,
    Sign,
    Span,
    bare,
    last_four,
    literal,
    shaped,
    spans,
)

# ---- e-mail: found at its "@" and read to both sides, as a search from the left looks at every word
DOMAIN = r"(?:[\w-]{1,63}\.)+(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,63}|[^\W\d_A-Za-z]{2,63})"
AT = re.compile("@" + DOMAIN)
AT_ENCODED = re.compile("%40" + DOMAIN)  # in query strings
LOCAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+~'-"  # of RFC 5322, less what ends words
LONGEST_LOCAL = 256
ALPHABETS = "\u0530"
"""Below it are alphabets whose words stand apart (Latin, Greek, Cyrillic); above it, text may touch the address."""


def emails(text: str) -> Iterator[Span]:
    """`local@domain.tld`, also with `%40`, also beyond ASCII (RFC 6531); quoted local parts are not looked for."""
    found = list(AT.finditer(text)) if "@" in text else []
    if "%40" in text:
        found = sorted([*found, *AT_ENCODED.finditer(text)], key=re.Match.start)
    behind = 0
    for at in found:
        if at.start() < behind:
            continue
        head = text[max(behind, at.start() - LONGEST_LOCAL) : at.start()]
        rest = head.rstrip(LOCAL)
        foreign = head[-1:] >= ALPHABETS
        while rest and rest[-1] > "\x7f" and (foreign or rest[-1] < ALPHABETS) and _in_word(rest[-1]):
            rest = rest[:-1].rstrip(LOCAL)
        local = head[len(rest) :].lstrip(".%+~'-")
        if local:
            behind = at.end()
            yield at.start() - len(local), behind


def _in_word(char: str) -> bool:
    return char.isalnum() or "\u0300" <= char < "\u0370"  # combining accents


def first_and_domain(value: str) -> str:
    """`a***@example.com`."""
    local, _, domain = value.replace("%40", "@").rpartition("@")
    return f"{local[:1]}***@{domain}"


# ---- addresses of machines
OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
IPV4 = rf"(?<![0-9A-Za-z.]){OCTET}(?:\.{OCTET}){{3}}(?![0-9A-Za-z]|\.[0-9])"
IPV6 = re.compile(r"(?<![0-9A-Za-z])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:.]{3,}(?![0-9A-Za-z])")


def ipv6(text: str) -> Iterator[Span]:
    """Addresses of RFC 4291 with a digit or six groups in them, compressed or not, also with an IPv4 tail."""
    import ipaddress

    for found in IPV6.finditer(text):
        run = found[0].rstrip(".")
        if run.endswith(":") and not run.endswith("::"):
            run = run[:-1]
        words = len(run) <= 45 and not any(map(str.isdigit, run)) and run.count(":") < 5  # such as `Add::Bad`
        if words or len(run) > 45:
            continue
        try:
            ipaddress.IPv6Address(run)
        except ValueError:
            continue
        yield found.start(), found.start() + len(run)


def without_hex(lines: bytes) -> bytes:
    return lines.translate(None, b"0123456789abcdefABCDEF.")


def without_digits(lines: bytes) -> bytes:
    return lines.translate(None, DIGITS)


def network_of_ipv4(value: str) -> str:
    return value.rpartition(".")[0] + ".*"


def network_of_ipv6(value: str) -> str:
    import ipaddress

    return ":".join(ipaddress.IPv6Address(value).exploded.split(":")[:3]) + ":*"


# ---- telephones: international, North American, and national with a leading zero
EDGE = r"(?<![0-9A-Za-z.+-])(?<![0-9]:)"
CLOSE = r"(?![0-9A-Za-z]|[.-][0-9])"
PHONE = "|".join(
    (
        r"(?<![0-9A-Za-z+])\+[1-9][0-9]{0,14}(?:(?:[ .-]\(?|\()[0-9]{1,14}\)?){0,6}(?![0-9A-Za-z])",
        rf"{EDGE}(?:1[ .-])?(?:\([2-9][0-9]{{2}}\) ?|[2-9][0-9]{{2}}[.-])[0-9]{{3}}[.-][0-9]{{4}}{CLOSE}",
        rf"{EDGE}(?:\(0[1-9][0-9]{{0,3}}\) ?|0[1-9][0-9]{{0,3}}[ -])[0-9]{{3,4}}[ -][0-9]{{3,4}}{CLOSE}",
        rf"{EDGE}0[1-9](?:[ .-][0-9]{{2}}){{4}}{CLOSE}",
    )
)


def is_phone(found: re.Match[str]) -> bool:
    """An international number has 8 to 15 digits (ITU-T E.164); the others have theirs by their form."""
    return not found[0].startswith("+") or 8 <= sum(map(str.isdigit, found[0])) <= 15


# ---- national numbers
SSN = r"(?<![0-9A-Za-z-])(?!000|666|9)[0-9]{3}([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9A-Za-z]|-[0-9])"
RRN = r"(?<![0-9A-Za-z])([0-9]{6})([- ]?)([0-9]{7})(?![0-9A-Za-z])"
CENTURY = {"9": 1800, "0": 1800, "1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}
WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
RANDOM_SINCE = date(2020, 10, 1)


def is_rrn(found: re.Match[str]) -> bool:
    """A Korean resident (or foreign resident) number: a date of birth that exists and the right check digit.

    Numbers given since October 2020 are random behind the seventh digit: for those born since then, the date
    alone decides, and the dash is needed.
    """
    birth, dash, serial = found.groups()
    try:
        born = date(CENTURY[serial[0]] + int(birth[:2]), int(birth[2:4]), int(birth[4:]))
    except ValueError:
        return False
    if dash and born >= RANDOM_SINCE:
        return True
    digits = [ord(digit) - 48 for digit in birth + serial]
    total = sum(map(mul, digits, WEIGHTS))
    checks = ((11 - total % 11) % 10, (13 - total % 11) % 10) if serial[0] in "5678" else ((11 - total % 11) % 10,)
    return digits[-1] in checks


IDENTIFIERS: tuple[Detector, ...] = (
    Detector("email", emails, literal("@", "%40"), first_and_domain, str.lower),
    IBAN_DETECTOR,
    Detector("kr_rrn", spans(RRN, check=is_rrn), shaped(THIRTEEN, b"000000-0000000", dashes=b" "), last_four, bare, True),
    CARD_DETECTOR,
    Detector("us_ssn", spans(SSN), shaped(b"000-00-0000", dashes=b" "), last_four, bare),
    Detector("ipv6", ipv6, (Sign(b"::"), Sign(b"::::::", without_hex)), network_of_ipv6, str.lower),
    Detector("ipv4", spans(IPV4), (Sign(b"...", without_digits),), network_of_ipv4),
    Detector("phone", spans(PHONE, check=is_phone), (
        *literal("+"), *shaped(b"000-000", b"00-00-00-00", dashes=b" .)"),
    ), last_four, bare),
)  # fmt: skip
"""In the order in which they claim text."""

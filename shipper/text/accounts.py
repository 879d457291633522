"""Numbers of money: payment cards (ISO/IEC 7812) and bank accounts (IBAN, ISO 13616), checked by their check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shipper.text.detectors import AS_ZERO, Detector, Sign, Span, bare, last_four

RUN = re.compile(r"[0-9][0-9 -]{11,}[0-9]")
GROUP = re.compile(r"[0-9]+")
UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
ESCAPES = ("\\n", "\\r", "\\t")


def luhn(digits: str) -> bool:
    """Whether the last digit is right (ISO/IEC 7812-1, annex B)."""
    numbers = [ord(digit) - 48 for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum([DOUBLED[number] for number in numbers[1::2]])) % 10 == 0


def cards(text: str) -> Iterator[Span]:
    """Luhn-valid numbers of 13 to 19 digits that begin with 2 to 9, in groups by single spaces or dashes.

    Within a longer row of numbers only groups as on a card count (the first of four digits or more, the
    others of three or more but for the last). A decimal fraction, a part of a word and a UUID are no cards;
    0 and 1 begin none that is in use, but every time in milliseconds or nanoseconds does.
    """
    for run in RUN.finditer(text):
        row: list[Span] = []
        for group in GROUP.finditer(text, *run.span()):
            if row and (group.start() - row[-1][1] > 1):
                yield from _cards_of(text, row)
                row = []
            row.append(group.span())
        yield from _cards_of(text, row)


def _cards_of(text: str, row: list[Span]) -> Iterator[Span]:
    """The cards among groups that are one separator apart."""
    first = 0
    while first < len(row):
        last = _card_from(text, row, first)
        if last is None:
            first += 1
        else:
            yield row[first][0], row[last][1]
            first = last + 1


def _card_from(text: str, row: list[Span], first: int) -> int | None:
    """The last group of the longest card that begins with this group."""
    start = row[first][0]
    if text[start] in "01" or not _opens(text, start):
        return None
    digits, best = "", None
    usual = True
    for last in range(first, len(row)):
        begin, end = row[last]
        size = end - begin
        if len(digits) + size > 19:
            break
        digits += text[begin:end]
        whole = first == 0 and last == len(row) - 1
        if (
            len(digits) >= 13
            and (usual or whole)
            and (first == last or row[first][1] - start >= 4 or whole)
            and not (text[end : end + 1].isascii() and text[end : end + 1].isalnum())
            and luhn(digits)
            and not _in_uuid(text, start, end)
        ):
            best = last
        usual = usual and (size >= 3)
    return best


def _opens(text: str, start: int) -> bool:
    """Whether a number can begin here: not inside a word, not behind a decimal point."""
    before = text[start - 1 : start]
    if before == ".":
        return not text[max(start - 2, 0) : start - 1].isdecimal()
    return not (before.isascii() and before.isalnum()) or text[max(start - 2, 0) : start] in ESCAPES


def _in_uuid(text: str, start: int, end: int) -> bool:
    if text.find("-", max(start - 1, 0), end + 1) < 0:
        return False
    found = UUID.search(text, max(start - 36, 0), end + 36)
    return found is not None and found.start() <= start and end <= found.end()


def digits_joined(lines: bytes) -> bytes:
    return lines.translate(AS_ZERO, b" -")


def may_hold_card(line: bytes) -> bool:
    """Whether thirteen digits are left without times in milliseconds and computed fractions, which many logs are full of."""
    line = line.replace(b":17", b":").translate(AS_ZERO)
    return THIRTEEN in line.replace(b"0." + THIRTEEN, b"0").translate(None, b" -")


THIRTEEN = b"0" * 13

# ---- bank accounts: ISO 13616, lengths of the IBAN registry
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?=[ -]?[A-Za-z0-9])")
LENGTHS = {
    country: size
    for size, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC",
        32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


def ibans(text: str) -> Iterator[Span]:
    """Of the length of their country and with the right check digits (mod 97), written together or in groups."""
    behind = 0
    for head in IBAN.finditer(text):
        start = head.start()
        size = LENGTHS.get(text[start : start + 2].upper())
        if size is None or start < behind:
            continue
        at, read = start, ""
        while len(read) < size and at < len(text):
            char = text[at]
            if char.isascii() and char.isalnum():
                read += char
            elif char not in " -" or not text[at - 1].isalnum():
                break
            at += 1
        closed = not (text[at : at + 1].isascii() and text[at : at + 1].isalnum())
        if len(read) == size and closed and mod97(read):
            behind = at
            yield start, at


def mod97(iban: str) -> bool:
    """Whether the check digits are right (ISO 7064)."""
    return int("".join([str(int(char, 36)) for char in iban[4:] + iban[:4]])) % 97 == 1


def capitals(lines: bytes) -> bytes:
    return lines.translate(AS_COUNTRY)


AS_COUNTRY = bytes(48 if chr(code).isdigit() else 65 if chr(code).isalpha() else code for code in range(128)) + bytes(
    range(128, 256)
)

IBAN_DETECTOR = Detector("iban", ibans, (Sign(b"AA00", capitals),), last_four, bare)
CARD_DETECTOR = Detector("credit_card", cards, (Sign(THIRTEEN, digits_joined, may_hold_card),), last_four, bare, True)

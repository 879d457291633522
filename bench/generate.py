"""The seeded generator: the same lines for the same seed, in several shapes, kept between runs.

Bytes a line, on average and with its newline:

apache     combined format, 174
json       application logs, 287: every 50th line or so has an e-mail address in its message, every 100th a card number;
           `id` is the line's number, from 0
malformed  the same, with every 100th line broken
garbled    `apache` with every 100th line broken
syslog     RFC 5424, 142
bsd        RFC 3164, 104; `seq=` is the line's number
trace      an application's log with a stack trace of 12 lines after every tenth line, 81
cri        what a container wrote, as containerd keeps it, 198: every 1000th line is the first of three parts of one
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6; en-GB) Version/18.1 Safari/605.1.15",
    "curl/8.5.0",
    "okhttp/4.12.0 (shop 3.1.4)",
]
PATHS = [
    "/",
    "/cart",
    "/api/v1/orders",
    "/api/v1/products/mug-01",
    "/static/app.3f9c2b.js",
    "/search?q=poster",
    "/login",
]
MONTHS = ("-", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MESSAGES = [
    "charge captured after one try",
    "cart loaded from the cache, nothing had changed",
    "order placed, the confirmation is on its way",
    "stock reserved in warehouse north, shelf 12",
    "session renewed",
    "price list is older than a minute, asking for a new one",
]
EVENTS = [
    "connection accepted from upstream shop",
    "health check of backend shop passed",
    "slow query on orders, plan 7",
    "cache entry expired before it was read",
]
BREAK: list[Callable[[str], str]] = [
    lambda line: line[: len(line) // 2] + "\n",
    lambda line: line.replace('"msg":', '"msg":oops'),
    lambda line: line.replace('"service"', '"service\0"', 1),
    lambda line: "plain text among JSON: " + line,
    lambda line: line.rstrip("}\n") + ",]}\n",
]
"""What becomes of a line in `malformed`: cut, garbage in it, a NUL, something in front, brackets that cross."""

GARBLE: list[Callable[[str], str]] = [
    lambda line: line[: len(line) // 2] + "\n",
    lambda line: line.replace('"', "'"),
    lambda line: line.replace("HTTP/1.1", "\0\x1b[31m").replace('" ', " ", 1),
    lambda line: "no such thing as an access log: " * 4 + "\n",
]
"""The same for `garbled`: cut, other quotes, control characters and a quote that is missing, plain text."""


def apache(rng: random.Random, lines: int) -> Iterator[str]:
    pick = rng.choice
    for n in range(lines):
        moment = START + timedelta(milliseconds=17 * n)
        stamp = f"{moment.day:02}/{MONTHS[moment.month]}/{moment:%Y:%H:%M:%S} +0000"
        user = "ann" if n % 9 == 0 else "-"
        yield (
            f"203.0.{n // 250 % 250}.{n % 250} - {user} [{stamp}] "
            f'"{pick(("GET", "GET", "GET", "POST"))} {pick(PATHS)} HTTP/1.1" {pick((200, 200, 200, 304, 404, 500))} '
            f'{rng.randrange(100, 90000)} "https://shop.example.com{pick(PATHS)}" "{pick(AGENTS)}"\n'
        )


def json(rng: random.Random, lines: int) -> Iterator[str]:
    pick = rng.choice
    for n in range(lines):
        moment = START + timedelta(milliseconds=n)
        message = pick(MESSAGES)
        if n % 50 == 7:
            message = f"receipt sent to user{n}@example.com"
        elif n % 100 == 33:
            message = "paid with card 4111 1111 1111 1111"
        yield (
            f'{{"ts":"{moment:%Y-%m-%dT%H:%M:%S}.{n % 1000:03}Z","level":"{pick(("info", "info", "debug", "error"))}",'
            f'"id":{n},"service":"{pick(("checkout", "payment", "search"))}","msg":"{message}",'
            f'"trace_id":"{rng.getrandbits(128):032x}","method":"GET","path":"{pick(PATHS)}",'
            f'"status":{pick((200, 201, 404))},"duration_ms":{rng.randrange(1, 900)},"cached":{pick(("true", "false"))},'
            f'"pod":"checkout-6c5d9f-{n % 40:04}"}}\n'
        )


def syslog(rng: random.Random, lines: int) -> Iterator[str]:
    pick = rng.choice
    for n in range(lines):
        moment = START + timedelta(milliseconds=n)
        yield (
            f"<{pick((134, 165, 28, 14))}>1 {moment:%Y-%m-%dT%H:%M:%S}.{n % 1000:03}Z web{n % 20:02}.example.com "
            f'{pick(("haproxy", "shop", "sshd"))} {rng.randrange(100, 9999)} ID{n % 100} [meta@32473 seq="{n}"] '
            f"{pick(EVENTS)}, took {rng.randrange(1, 900)} ms\n"
        )


def malformed(rng: random.Random, lines: int) -> Iterator[str]:
    for n, line in enumerate(json(rng, lines)):
        yield BREAK[n // 100 % len(BREAK)](line) if n % 100 == 42 else line


def garbled(rng: random.Random, lines: int) -> Iterator[str]:
    for n, line in enumerate(apache(rng, lines)):
        yield GARBLE[n // 100 % len(GARBLE)](line) if n % 100 == 42 else line


def bsd(rng: random.Random, lines: int) -> Iterator[str]:
    pick = rng.choice
    for n in range(lines):
        moment = START + timedelta(milliseconds=n)
        yield (
            f"<{pick((134, 165, 28, 14))}>{MONTHS[moment.month]} {moment.day:2} {moment:%H:%M:%S} web{n % 20:02} "
            f"{pick(('haproxy', 'shop', 'sshd'))}[{rng.randrange(100, 9999)}]: "
            f"{pick(EVENTS)}, took {rng.randrange(1, 900)} ms seq={n}\n"
        )


def trace(rng: random.Random, lines: int) -> Iterator[str]:
    pick, left = rng.choice, 0
    for n in range(lines):
        moment = START + timedelta(milliseconds=n)
        if left:
            left -= 1
            yield (
                f"Caused by: java.sql.SQLException: connection reset, try {n % 7}\n"
                if left == 6
                else f"\tat com.example.shop.{pick(('cart', 'stock', 'mail'))}.Service.step{left}(Service.java:{n % 900})\n"
            )
            continue
        failed = n % 10 == 9
        left = 12 if failed else 0
        yield (
            f"{moment:%Y-%m-%d %H:%M:%S}.{n % 1000:03} {'ERROR' if failed else 'INFO '} [worker-{n % 16}] "
            f"com.example.shop.Checkout - {pick(MESSAGES)}\n"
        )


def cri(rng: random.Random, lines: int) -> Iterator[str]:
    pick = rng.choice
    for n in range(lines):
        moment = START + timedelta(milliseconds=n)
        tag = "P" if n % 1000 in (500, 501) and lines - n > 2 else "F"
        yield (
            f"{moment:%Y-%m-%dT%H:%M:%S}.{n % 1000:03}{rng.randrange(10**6):06}Z {pick(('stdout', 'stdout', 'stderr'))} {tag} "
            if n % 1000 not in (500, 501, 502)
            else f"{moment:%Y-%m-%dT%H:%M:%S}.{n % 1000:03}000000Z stdout {tag} "
        ) + (
            f"level={pick(('info', 'debug', 'error'))} id={n} trace={rng.getrandbits(128):032x} path={pick(PATHS)} "
            f'msg="{pick(MESSAGES)}" took={rng.randrange(1, 900)}ms\n'
        )


SHAPES: dict[str, Callable[[random.Random, int], Iterator[str]]] = {
    "apache": apache,
    "json": json,
    "malformed": malformed,
    "garbled": garbled,
    "syslog": syslog,
    "bsd": bsd,
    "trace": trace,
    "cri": cri,
}


def generated(shape: str, lines: int, folder: Path, seed: int = 1) -> Path:
    """The file with so many lines of this shape; made when it is not there."""
    path = folder / f"{shape}-{lines}-{seed}.log"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            file.writelines(SHAPES[shape](random.Random(seed), lines))
        unfinished.rename(path)
    return path

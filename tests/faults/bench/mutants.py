"""The corpus of odd inputs (`tests/corpus/`), and new ones made of it.

A file of the corpus is a list of texts in JSON; each character is one byte (Latin-1). What a fuzzer found is added there.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

HERE = Path(__file__).parents[2] / "corpus"
TOKENS = [b"\0", b"\n", b"\r\n", b" ", b"  ", b"-", b"0", b"-1 ", b"999999999999 ", b"4294967296", b"<", b">", b"<999>", b"<1>1 ",
          b"[", b"]", b'"', b"\\", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"{", b"}", b":", b";", b"=", b"%", b"chunked",
          b"Content-Length: 0\r\n", b"Nov 22 ", b"2026-11-22T12:00:00Z ", b"9" * 30, b"\x1b[2J", b"\xe2\x80\xa8", b"NaN"]  # fmt: skip


def corpus(name: str) -> list[bytes]:
    """`corpus("syslog")`: what stands in `tests/corpus/syslog.json`."""
    texts: list[str] = json.loads((HERE / f"{name}.json").read_text())
    return [text.encode("latin-1") for text in texts]


def mutate(rng: random.Random, seeds: Sequence[bytes], times: int = 4) -> bytes:
    """One of the seeds, damaged in up to `times` places."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, times)):
        at = rng.randint(0, len(data))
        length = rng.choice((1, 1, 2, 3, 5, 10, 50))
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] = rng.randrange(256)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:at] = rng.choice(TOKENS)
            case 4:
                del data[at:]
            case 5:
                other = rng.choice(seeds)
                data[at : at + length] = other[rng.randint(0, len(other)) :][:length]
            case _:
                data[at:at] = bytes([rng.randrange(256)]) * (length * rng.choice((1, 1, 10)))
    return bytes(data)


def odd(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Hypothesis' strategy: mutants of these seeds, several lines of them, and any bytes."""
    mutants = st.builds(mutate, st.randoms(use_true_random=False), st.just(seeds))
    return st.one_of(mutants, st.lists(mutants, max_size=5).map(b"\n".join), st.binary(max_size=300))

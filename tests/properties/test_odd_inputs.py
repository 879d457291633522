"""Every parser and decoder on what nobody sends: the corpus, mutants of it, and any bytes.

Here for a second each; ten minutes of it in the nightly tier of the battery (`tests/faults/test_fuzz.py`).
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.faults.bench.mutants import corpus, odd
from tests.properties.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name: str) -> None:
    """What was odd once is no trouble."""
    seeds, check = TARGETS[name]
    for data in corpus(seeds):
        check(data)
    for data in corpus("found"):
        check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_anything(name: str) -> None:
    """Nothing that can be made of the corpus, and no bytes, do what must not happen."""
    seeds, check = TARGETS[name]

    @settings(max_examples=20 if name == "config" else 60)
    @given(odd(corpus(seeds)))
    def property_(data: bytes) -> None:
        check(data)

    property_()

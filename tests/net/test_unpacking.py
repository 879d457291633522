"""Packed bodies from strangers."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import TooLarge
from shipper.net.unpacking import known, unpack

LIMIT = 10 * 2**20


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("zstd", zstandard.compress),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
@given(data=st.binary(max_size=300).map(lambda data: data * 300))
def test_round_trip(encoding: str, pack: Callable[[bytes], bytes], data: bytes) -> None:
    """What was packed comes out; a byte more than allowed, or one that is missing, is told."""
    packed = pack(data)
    assert unpack(packed, encoding, len(data)) == data
    if data:
        with pytest.raises(TooLarge):
            unpack(packed, encoding, len(data) - 1)
    with pytest.raises(ValueError, match=r"incomplete|broken"):
        unpack(packed[:-1], encoding, LIMIT)


@pytest.mark.parametrize(("encoding", "pack"), [PACKERS[0], PACKERS[1], PACKERS[3]])
def test_members(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """Members one after another are one body; more than 1,024 are refused at once."""
    assert unpack(pack(b"a") + pack(b"b"), encoding, LIMIT) == b"ab"
    with pytest.raises(TooLarge, match="members"):
        unpack(pack(b"") * 200_000, encoding, LIMIT)


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(bytes(2**28))),
        ("deflate", zlib.compress(bytes(2**28))),
        ("zstd", zstandard.compress(bytes(2**28))),
    ],
)
def test_bombs(encoding: str, bomb: bytes) -> None:
    """A bomb is refused within a second of CPU."""
    began = time.process_time()
    with pytest.raises(TooLarge):
        unpack(bomb, encoding, LIMIT)
    assert time.process_time() - began < 1


def test_the_ratio_is_bounded() -> None:
    """Beyond a MiB nobody makes more than 2,000 bytes of one, not even below the limit; logs that repeat pass."""
    with pytest.raises(TooLarge, match="of each that came"):
        unpack(zstandard.compress(bytes(8 * 2**20)), "zstd", LIMIT)
    same = b'{"level": "info", "path": "/healthz", "status": 200}\n' * 150_000
    for encoding, pack in (PACKERS[0], PACKERS[3]):
        packed = pack(b"".join(b"%d" % at + line for at, line in enumerate(same.splitlines(True))))
        assert len(unpack(packed, encoding, LIMIT)) > 7 * 2**20
    assert len(unpack(gzip.compress(same, 9), "gzip", LIMIT)) == len(same)
    assert unpack(zstandard.compress(bytes(2**20)), "zstd", LIMIT) == bytes(2**20)


def test_a_large_window_is_refused() -> None:
    """zstd may ask for no more than 8 MiB of window."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    bomb = packer.compress(bytes(2**20)) + packer.flush()
    with pytest.raises(ValueError, match="broken"):
        unpack(bomb, "zstd", LIMIT)


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    """Noise is broken or incomplete, never another error."""
    for encoding in ("gzip", "deflate", "zstd"):
        try:
            unpack(data, encoding, 1000)
        except (ValueError, TooLarge):
            continue


def test_known() -> None:
    """One layer of an encoding that we know."""
    assert all(map(known, ["", "identity", "gzip", "deflate", "zstd"]))
    assert not any(map(known, ["br", "gzip, gzip", "snappy"]))

import gzip
import sys

import pytest

from shipper.net.compression import OFF_LOOP, Gzip, Plain, Zstd, content_headers, pack


@pytest.mark.parametrize("size", [0, 10, OFF_LOOP + 1])
async def test_gzip_can_be_read_by_anybody(size: int) -> None:
    """What is packed, in the loop or off it, is what the standard library unpacks."""
    data = b"x" * size
    assert gzip.decompress(await pack(Gzip(), data)) == data


async def test_zstd_can_be_read_by_anybody() -> None:
    """The frame carries its size, and unpacks to what went in."""
    import zstandard

    assert zstandard.ZstdDecompressor().decompress(await pack(Zstd(), b"hello" * 1000)) == b"hello" * 1000


async def test_none_leaves_the_body_alone() -> None:
    """Without compression the very bytes go out, and no header says otherwise."""
    body = b"x" * (OFF_LOOP * 2)
    assert await pack(Plain(), body) is body
    assert content_headers("text/plain", Plain()) == {"Content-Type": "text/plain"}
    assert content_headers("text/plain", Gzip()) == {"Content-Type": "text/plain", "Content-Encoding": "gzip"}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package zstd says what to install; gzip needs none."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert 'pip install "shipper[zstd]"' in (Zstd().problem() or "")
    assert Gzip().problem() is None

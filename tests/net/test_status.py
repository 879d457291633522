import pytest

from shipper.errors import Rejected, TooLarge, Unavailable
from shipper.net.status import Misdirected, printable, raise_for, retry_after

NOON = 1795348800.0  # Sun, 22 Nov 2026 12:00:00 GMT


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_done(status: int) -> None:
    """Nothing is raised."""
    raise_for(status, {}, "")


@pytest.mark.parametrize(
    ("statuses", "error"),
    [
        ([408, 425, 429, 500, 501, 502, 503, 504, 599, 600], Unavailable),
        ([300, 301, 302, 304, 307, 308, 401, 403, 404, 405, 407, 415], Misdirected),
        ([413], TooLarge),
        ([400, 402, 406, 409, 410, 411, 412, 414, 418, 422, 431, 451], Rejected),
    ],
)
def test_what_comes_next(statuses: list[int], error: type[Exception]) -> None:
    """Each status raises exactly the class that the contract gives it."""
    for status in statuses:
        with pytest.raises(error) as caught:
            raise_for(status, {}, "why")
        assert type(caught.value) is error
        assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0", 0), ("1000000000", 1e9), ("2.5", 2.5), ("-1", 0), ("soon", 0), ("", 0), ("nan", 0), ("inf", 0),
     ("Sun, 22 Nov 2026 12:00:30 GMT", 30), ("Sun, 22 Nov 2026 11:00:00 GMT", 0), ("Sun, 99 Nov 2026 11:00:00 GMT", 0),
     ("9" * 4000, 0), ("٧", 0)],
)  # fmt: skip
def test_retry_after(text: str, seconds: float) -> None:
    """Seconds or a date; what is past, negative or no time at all asks for nothing."""
    assert retry_after({"Retry-After": text}, NOON) == seconds
    with pytest.raises(Unavailable) as caught:
        raise_for(503, {"Retry-After": text}, "", now=NOON)
    assert caught.value.after == seconds


def test_a_server_cannot_write_to_our_terminal() -> None:
    """Control characters of an answer are escaped, letters of any language are kept, and length is bounded."""
    with pytest.raises(Rejected) as caught:
        raise_for(400, {}, "\x1b[31mñ\r\n한\x00\u202e" + "x" * 10_000)
    assert caught.value.reason.isprintable()
    assert "\\x1b[31mñ 한\\x00\\u202e" in caught.value.reason
    assert len(caught.value.reason) < 600
    assert printable("a" * 10, 3) == "aaa..."

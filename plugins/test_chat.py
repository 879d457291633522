"""Tests of the output `chat`, against a real server on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from chat import Chat

from shipper import Event, Rejected, Secret, Template, TooLarge, Unavailable
from shipper.testing import check_output, delivered

ALERTS: list[Event] = [{"level": "error", "message": "no room on /var"}, {"level": "warn", "message": "slow"}]


class Room:
    """A chat that answers with `status` and keeps the texts it was sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.status = 200
        self.says = "ok"
        self.headers: dict[str, str] = {}
        self.url = Secret("")

    async def answer(self, request: web.Request) -> web.Response:
        self.texts.append((await request.json())["text"])
        return web.Response(status=self.status, text=self.says, headers=self.headers)


@asynccontextmanager
async def chat_room() -> AsyncIterator[Room]:
    room = Room()
    app = web.Application()
    app.router.add_post("/hooks/s3cret-path", room.answer)
    async with TestServer(app) as server:
        room.url = Secret(str(server.make_url("/hooks/s3cret-path")))
        yield room


async def test_several_events_are_one_message() -> None:
    """A message has a line for each event, in order."""
    async with chat_room() as room:
        await delivered(Chat(url=room.url), ALERTS)
        assert room.texts == ["*error* no room on /var\n*warn* slow"]


async def test_a_line_is_one_line_bounded_and_cannot_call_people() -> None:
    """Line breaks are spaces, what is too long is cut, and the chat's own markup is text."""
    async with chat_room() as room:
        output = Chat(url=room.url, text=Template("{message}"), max_chars=20)
        await delivered(output, [{"message": "a\nb"}, {"message": "<!here> & @channel"}, {"message": "x" * 99}])
        assert room.texts == ["a b\n&lt;!here&gt; &amp; @\u200bchannel\n" + "x" * 17 + "..."]


async def test_an_event_without_text_is_shown_whole() -> None:
    """Where the template has no text, nothing is hidden."""
    async with chat_room() as room:
        await delivered(Chat(url=room.url), [{"status": 500}])
        assert room.texts == ['{"status": 500}']


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, Unavailable), (503, Unavailable), (404, Unavailable), (413, TooLarge), (400, Rejected)],
)
async def test_every_answer_says_what_comes_next(status: int, error: type[Exception]) -> None:
    """Busy, broken or misdirected: again. Too large: in parts. Bad events: set aside. The path is never told."""
    async with chat_room() as room:
        room.status, room.says, room.headers = status, "cannot POST /hooks/s3cret-path", {"Retry-After": "7"}
        with pytest.raises(error) as raised:
            await delivered(Chat(url=room.url), ALERTS)
        assert "s3cret" not in str(raised.value)
        assert getattr(raised.value, "after", 7) == 7


async def test_nobody_there_is_unavailable_and_the_address_stays_secret(unused_tcp_port_factory: Any) -> None:
    """No answer means again; the path of the webhook stands in no error."""
    url = Secret(f"http://127.0.0.1:{unused_tcp_port_factory()}/hooks/s3cret-path")
    with pytest.raises(Unavailable, match=r"connection refused by http://127\.0\.0\.1/\[secret\]"):
        await delivered(Chat(url=url), ALERTS)


@pytest.mark.parametrize("url", ["", "chat.example.com/hooks/x", "ftp://chat.example.com/"])
def test_what_is_no_address_is_a_problem_of_the_configuration(url: str) -> None:
    """`shipper validate` says so, without the value."""
    ((option, sentence),) = Chat(url=Secret(url)).check()
    assert option == "url"
    assert "https://chat.example.com/hooks/..." in sentence
    assert not list(Chat(url=Secret("https://chat.example.com/hooks/x")).check())


async def test_keeps_the_contract_of_outputs() -> None:
    """It opens, closes twice, and says what became of a request by a typed error or by returning."""
    async with chat_room() as room:
        await check_output(lambda: Chat(url=room.url))

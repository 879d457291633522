"""Output `chat`: alerts for people, posted to a chat's incoming webhook."""

import html
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from shipper import BatchPolicy, Delivery, Duration, Event, EventOutput, Meta, Secret, Size, Template, Unavailable, Url
from shipper.net.session import Session


class Webhook(Url):
    """Whoever knows the path of a webhook can post to it, so the path is hidden wherever the address is shown."""

    __slots__ = ()

    def __str__(self) -> str:
        parts = urlsplit(self.reveal())
        return f"{parts.scheme}://{parts.hostname}/[secret]"


class Chat(EventOutput):
    """Post events to a chat, as Slack, Mattermost and their like take it: `{"text": "..."}`.

    What comes within `delivery.batch.wait` is one message with a line for each event. Log lines are shown as text: they
    cannot call `@channel`. Send alerts here, not all logs: `{output: chat, when: "level == 'error'"}`.
    """

    delivery = Delivery(
        batch=BatchPolicy(events=20, bytes=Size(32 * 1024), wait=Duration(5)),
        concurrency=1,  # messages in order
        timeout=Duration(15),
    )

    url: Annotated[Secret, Meta(description="Address of the incoming webhook.")]
    text: Annotated[
        Template, Meta(description="The line of an event; one for which it has no text is shown as JSON.")
    ] = Template("*{level:event}* {message}")
    max_chars: Annotated[int, Meta(ge=10, le=3000, description="Longest line; the rest is cut off.")] = 500

    _session: Session | None = None

    def check(self) -> Iterable[tuple[str, str]]:
        try:
            Webhook(self.url.reveal())
        except ValueError:
            yield "url", "expected an address such as https://chat.example.com/hooks/..."

    async def open(self) -> None:
        self._session = Session(self.scope)
        await self._session.open()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def deliver(self, events: list[Event]) -> None:
        if self._session is None:
            raise Unavailable("the output is not open")
        url = Webhook(self.url.reveal())
        body = json.dumps({"text": "\n".join(self.line(event) for event in events)}).encode()
        answer = await self._session.send("POST", url, body, {"Content-Type": "application/json"})
        path = urlsplit(url.reveal()).path.encode()
        if len(path) > 1:  # some servers say in an error what they were asked for
            answer = replace(answer, body=answer.body.replace(path, b"/[secret]"))
        self._session.settle(url, answer)  # returns for 2xx, raises what anything else means

    def line(self, event: Event) -> str:
        """One event as one line of text."""
        text = self.text.render(event) or json.dumps(event, ensure_ascii=False)
        line = " ".join(text.split())
        if len(line) > self.max_chars:
            line = line[: self.max_chars - 3] + "..."
        # `<!channel>` is how Slack calls everyone, `@channel` how Mattermost does: here they are only text
        return html.escape(line, quote=False).replace("@", "@\u200b")

"""Any HTTP endpoint that takes a body of events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec, Output
from shipper.errors import Refused, Unavailable
from shipper.net.auth import Auth
from shipper.net.checks import check_client
from shipper.net.compression import Compression, Plain, content_headers, pack
from shipper.net.probing import asking
from shipper.net.session import Session
from shipper.net.tls import Tls
from shipper.options import Meta, Secret, Url, option
from shipper.policy import BUFFERED, Delivery


class Http(Output):
    """Send events to an HTTP server, many in one request.

    2xx: done. No answer, 408, 425, 429, 5xx: again. 3xx, 401, 403, 404, 405, 407, 415 are about the address or the
    credentials: again, loudly. 413: in smaller requests. Any other 4xx is about the events: halved until the guilty
    ones are alone, which are set aside. Redirects are not followed.
    """

    delivery: ClassVar[Delivery] = Delivery(buffer=BUFFERED)

    url: Annotated[Url, Meta(description="Where to send; `user:password@` logs in by `basic`.")]
    method: Annotated[Literal["POST", "PUT", "PATCH"], Meta(description="Method of the request.")] = "POST"
    headers: Annotated[
        dict[str, Secret],
        Meta(description="More headers; `Content-Type` here wins over the codec's."),
    ] = option(dict)
    codec: Annotated[Codec, Meta(description="How events are written.", extra={"default": "ndjson"})]
    compression: Annotated[Compression, Meta(description="How a body is packed.")] = option(Plain)
    auth: Annotated[Auth | None, Meta(description="How to log in.")] = None
    tls: Annotated[Tls, Meta(description="Certificates.")] = option(Tls)
    proxy: Annotated[Url | None, Meta(description="Proxy for all requests; none is taken from the environment.")] = None

    _session: Session | None = None

    def check(self) -> Iterable[tuple[str, str]]:
        yield from check_client(headers=self.headers, auth=self.auth, tls=self.tls, compression=self.compression)

    async def open(self) -> None:
        self._session = Session(
            self.scope, tls=self.tls, auth=self.auth, proxy=self.proxy, headers=self.headers, urls=[self.url]
        )
        await self._session.open()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def probe(self) -> str:
        """HEAD: what a POST would do nobody can know without one, but credentials and redirects show."""
        async with asking(
            self.scope, tls=self.tls, auth=self.auth, proxy=self.proxy, headers=self.headers, urls=[self.url]
        ) as ask:
            answer = await ask("HEAD", self.url)
            if answer.status not in (400, 404, 405, 411, 415, 501):  # it answers, and has no HEAD
                ask.session.judge(answer)
            return f"answers (HTTP {answer.status} to HEAD); whether it takes events only a POST would tell"

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        return self.codec.encode(batch)

    async def write(self, pieces: Sequence[Piece]) -> None:
        if self._session is None:
            raise Unavailable("the output is not open")
        body = await pack(self.compression, self.codec.document([piece.body for piece in pieces]))
        headers = content_headers(self.codec.content_type, self.compression)
        if any(name.lower() == "content-type" for name in self.headers):
            del headers["Content-Type"]
        answer = await self._session.send(self.method, self.url, body, headers)
        self._session.settle(self.url, answer)

    def split(self, piece: Piece) -> list[Piece]:
        return self.codec.split(piece)

    def events(self, piece: Piece) -> list[Event]:
        return self.codec.events(piece)

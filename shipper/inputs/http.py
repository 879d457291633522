"""Events that others post."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, ClassVar

import orjson
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from shipper.batch import Send
from shipper.component import Input, Scope
from shipper.errors import TooLarge, Unavailable
from shipper.net.accepting import HANDSHAKE, Acceptor
from shipper.net.auth import Auth, Basic, Bearer, accepts
from shipper.net.listen import HostPort
from shipper.net.sockets import Bound, bind
from shipper.net.tls import Tls
from shipper.net.unpacking import known, unpack
from shipper.options import Duration, Meta, Size
from shipper.text.bodies import Form, batches, form_of

AS_IT_IS = ("", "utf-8", "utf8", "us-ascii", "ascii")
OTHERS = ("iso-8859-1", "latin1", "windows-1252")  # any codec of Python's would be an invitation: some take square time
READING = 4  # bodies of the largest size that may be on their way in at a time
SAID = 10.0  # seconds between two lines in the log about requests that are none: strangers must not fill a disk
LATER = 5.0  # seconds in which the rest of a request finds room once its first part has


class Answer(Exception):
    """A request that is refused: status, sentence, more headers."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Http(Input):
    """Receive events by HTTP POST; 200 is the acknowledgement: everything in the request is safe.

    The body is a JSON object or an array of them, JSON lines, or text with an event a line; `gzip`, `deflate` and (with
    the package `zstandard`) `zstd` are unpacked. Lines and items that are no object are kept raw and marked with
    `shipper_error`. The address of the sender is `peer`.

    Answers: 200 `{"events": n}`; 400 nothing in the body is valid; 401; 404 another path; 405 another method; 408 the
    body took too long; 413 it is too large; 415 an encoding that is not known; 503 with `Retry-After` no room now, or
    not delivered: send it again. Errors are `{"error": "..."}`.
    """

    listens: ClassVar[bool] = True
    repeatable: ClassVar[bool] = True  # who got no 200 sends it again
    divides: ClassVar[bool] = True

    listen: Annotated[HostPort, Meta(description="Address and port; loopback unless told, port 0 is any.")] = HostPort(
        "127.0.0.1:8080"
    )
    path: Annotated[str | None, Meta(description="The one path that is served; any when left out.", pattern="^/")] = (
        None
    )
    codec: Annotated[Form, Meta(description="What bodies are; `auto` goes by their Content-Type.")] = "auto"
    auth: Annotated[Auth | None, Meta(description="What senders must show.")] = None
    tls: Annotated[Tls | None, Meta(description="Certificate; with `ca`, senders must show one of theirs.")] = None
    max_body_bytes: Annotated[Size, Meta(ge=1, description="Largest body, after decompression.")] = Size(10 * 2**20)
    max_connections: Annotated[
        int, Meta(ge=1, description="Connections at a time; more wait. Of several `workers` each has as many.")
    ] = 1000
    read_timeout: Annotated[Duration, Meta(gt=0, description="Longest time for the body of a request.")] = Duration(30)
    idle_timeout: Annotated[
        Duration, Meta(gt=0, description="How long a connection may be without a request, or take for its head.")
    ] = Duration(75)

    _bound: Bound | None = None
    _server: web.Server | None = None
    _send: Send | None = None
    _reading: int = 0

    def check(self) -> Iterable[tuple[str, str]]:
        if self.auth is not None:
            yield from ((f"auth.{name}", why) for name, why in self.auth.problems())
        if self.tls is not None:
            yield from ((f"tls.{name}", why) for name, why in self.tls.problems(server=True))

    async def open(self) -> None:
        self._bound = await bind(self.listen, shared=self.scope.share.divided)
        self.scope.address = f"{'https' if self.tls else 'http'}://{self._bound.address}"
        self.scope.log.info("listening on %s", self.scope.address)
        if self.auth is None and not self.listen.loopback:
            self.scope.log.warning("%s is not loopback and there is no `auth`: anybody may send", self.scope.address)

    async def run(self, send: Send) -> None:
        assert self._bound is not None
        if self._server is None:
            self._server = web.Server(
                self._handle,
                access_log=None,
                logger=_Calm(self.scope),
                auto_decompress=False,  # our own bounds hold
                keepalive_timeout=self.idle_timeout,
                lingering_time=2.0,  # what is still being sent is read, so that the sender sees the refusal
            )
        server = self._server
        acceptor = Acceptor(
            self._bound,
            server,
            full=lambda greeting: len(server.connections) + greeting >= self.max_connections,
            failed=self._failed,
            tls=self.tls.server() if self.tls else None,
            handshake=min(HANDSHAKE, self.idle_timeout),
            log=self.scope.log,
        )
        self._send = send
        acceptor.start()
        try:
            await asyncio.Event().wait()  # until cancelled
        finally:
            acceptor.stop()
            self._send = None  # open requests go on, new ones are answered 503
            self._bound.close()

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown(timeout=2.0)
        bound, self._bound = self._bound, None
        if bound is not None:
            bound.close()

    def _failed(self, error: Exception) -> None:
        self.scope.count("failed_connections")
        self.scope.log.info("a connection failed before it began: %s: %s", type(error).__name__, error)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            events = await self._request(request)
        except Answer as refusal:
            self.scope.count("refused_requests", status=str(refusal.status))
            answer = _json(refusal.status, {"error": refusal.why}, refusal.headers)
            if refusal.status == 408:  # who is too slow is not waited for once more
                with suppress(ConnectionError):  # or is gone by now
                    await answer.prepare(request)
                    await answer.write_eof()
                request.protocol.force_close()
        else:
            answer = _json(200, {"events": events}, {})
        if self._send is None:
            answer.force_close()
        return answer

    async def _request(self, request: web.BaseRequest) -> int:
        """Take one request; how many events it brought. Raises Answer."""
        send = self._send
        if send is None:
            raise Answer(503, "stopping", Retry_After="1")
        if self.auth is not None and not accepts(self.auth, request.headers.get(hdrs.AUTHORIZATION)):
            raise Answer(401, "credentials are missing or wrong", WWW_Authenticate=_challenge(self.auth))
        if self.path is not None and request.path != self.path:
            raise Answer(404, "nothing is served at this path")
        if request.method != "POST":
            raise Answer(405, "expected POST", Allow="POST")
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
        if not known(encoding):
            raise Answer(415, "expected Content-Encoding gzip or deflate, or none", Accept_Encoding="gzip, deflate")
        charset = (request.charset or "").lower()
        if charset not in (*AS_IT_IS, *OTHERS):
            raise Answer(415, "expected UTF-8")
        body = await self._body(request)
        try:
            body = unpack(body, encoding, self.max_body_bytes)
        except TooLarge as error:
            raise Answer(413, str(error)) from error
        except ValueError as error:
            raise Answer(400, f"the body is not {encoding}: {error}") from error
        if charset in OTHERS:
            body = body.decode(charset, "replace").encode()
        return await self._deliver(request, body, send)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The body as it came, when there is room for it."""
        most = self.max_body_bytes
        if (request.content_length or 0) > most:
            raise Answer(413, f"more than {most} bytes")
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            try:
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            except ConnectionError as error:
                raise Answer(400, "the sender is gone") from error
            request.writer.output_size = 0
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.read_timeout):
                async for part in request.content.iter_any():
                    size += len(part)
                    self._reading += len(part)
                    if size > most:
                        raise Answer(413, f"more than {most} bytes")
                    if self._reading > READING * most:
                        raise Answer(503, "no room", Retry_After="1")
                    parts.append(part)
        except TimeoutError as error:
            raise Answer(408, f"the body took more than {self.read_timeout}", Connection="close") from error
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:  # or the sender is gone
            raise Answer(400, "the body is broken") from error
        finally:
            self._reading -= size
        return b"".join(parts)

    async def _deliver(self, request: web.BaseRequest, body: bytes, send: Send) -> int:
        form = self.codec if self.codec != "auto" else form_of(request.content_type, body)
        attrs: dict[str, Any] = {"timestamp": self.scope.clock.now()}
        if request.remote:
            attrs["peer"] = request.remote.removeprefix("::ffff:")
        waits: list[asyncio.Future[None]] = []
        events = 0
        try:
            for batch in batches(body, form, attrs):
                count = len(batch)
                if waits:
                    await asyncio.sleep(0)  # a large body must not hold up the loop
                waits.append(await self._sent(batch, send, patient=bool(waits)))
                events += count
        except ValueError as error:
            raise Answer(400, str(error)) from error
        except Unavailable as busy:
            _forget(waits)
            raise Answer(503, busy.reason or "no room", Retry_After=str(max(1, math.ceil(busy.after)))) from busy
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        if failed := next((each for each in outcomes if each is not None), None):
            raise Answer(503, "not delivered", Retry_After="1") from failed
        return events

    async def _sent(self, batch: Any, send: Send, *, patient: bool) -> asyncio.Future[None]:
        """Hand over a batch. Once a part of a request is on its way, the rest waits a little: all would come again."""
        deadline = asyncio.get_running_loop().time() + (LATER if patient else 0)
        while True:
            try:
                return send(batch)
            except Unavailable:
                if asyncio.get_running_loop().time() >= deadline or self._send is None:
                    raise
            await asyncio.sleep(0.05)


class _Calm(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp logs: a request that is no HTTP is the sender's mistake, not ours, and gets a line instead of a traceback."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.log)
        self.scope = scope
        self.said = float("-inf")

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self.scope.count("refused_requests", status=str(exc_info.code))
            if self.scope.clock.monotonic() - self.said >= SAID:
                self.said = self.scope.clock.monotonic()
                self.info("refused what is no HTTP: %s", type(exc_info).__name__)
        else:
            self.error(msg, *args, exc_info=exc_info, **kwargs)


def _forget(waits: Iterable[asyncio.Future[None]]) -> None:
    for each in waits:
        each.add_done_callback(lambda future: future.cancelled() or future.exception())


def _json(status: int, value: dict[str, Any], headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(value),
        content_type="application/json",
        headers={hdrs.SERVER: "shipper", **headers},
    )


def _challenge(auth: Auth) -> str:
    if isinstance(auth, Basic):
        return 'Basic realm="shipper", charset="UTF-8"'
    return "Bearer" if isinstance(auth, Bearer) else "ApiKey"

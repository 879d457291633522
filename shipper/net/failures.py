"""What went wrong on the way, as a sentence a person understands; never with a secret in it."""

from __future__ import annotations

import errno
import ssl

from shipper.net.status import printable
from shipper.options import Url

__all__ = ["explain", "forget"]


def explain(error: Exception, url: Url, connect: float) -> str | None:
    """Why a request to `url` got no answer; None for what is no failure of the network but a bug of ours.

    Messages of the HTTP library are not quoted where they can hold addresses. `connect` is how many seconds a
    connection was given.
    """
    import aiohttp

    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy to {url} answered HTTP {error.status}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy to {url} cannot be reached: {_strerror(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {url} is not trusted: {_certificate(error.certificate_error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {url} is not trusted: {_certificate(error)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address was found for the host of {url}: {_strerror(error.os_error)}"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        inner = error.os_error if isinstance(error, aiohttp.ClientSSLError) else error
        return f"no TLS with {url}: {getattr(inner, 'reason', None) or _strerror(inner)}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection to {url} within {connect:g}s"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"{url} closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"the answer of {url} broke off"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{url} answered what is not HTTP: {printable(error.message.split(chr(10))[0], 100)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{_connecting(error.os_error)} {url}"
    if isinstance(error, TimeoutError):
        return f"no answer from {url} in time"
    if isinstance(error, OSError):
        return f"the connection to {url} broke: {_strerror(error)}"
    if isinstance(error, aiohttp.ClientError) and not isinstance(error, ValueError):
        return f"the request to {url} failed: {type(error).__name__}"
    return None


def forget(error: BaseException) -> None:
    """Let go of the frames that a foreign exception and its causes hold.

    The HTTP library's stand in cycles with them, and in one of the frames is the body of the request: megabytes that
    the collector, which counts objects, would leave there for minutes of trying in vain.
    """
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            todo += [each.__cause__, each.__context__, getattr(each, "os_error", None)]


def _connecting(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        return "connection refused by"
    return f"no connection ({_strerror(error)}) to"


def _strerror(error: BaseException) -> str:
    # asyncio puts host and port in place of the system's words
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        import os

        return os.strerror(number).lower()
    return printable(getattr(error, "strerror", None) or type(error).__name__, 100)


def _certificate(error: BaseException) -> str:
    return printable(getattr(error, "verify_message", None) or str(error), 200)

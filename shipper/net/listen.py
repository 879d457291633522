"""Addresses that are listened on, as options write them."""

from __future__ import annotations

import ipaddress
from typing import ClassVar
from urllib.parse import urlsplit

__all__ = ["HostPort", "Listen"]

LONGEST_PATH = 107  # bytes, unix(7)


class HostPort:
    """`127.0.0.1:8080`, `[::1]:8080` or `logs.example:8080`; port 0 is any that is free. Raises ValueError."""

    __slots__ = ("host", "port")
    example: ClassVar[str] = "127.0.0.1:8080"

    def __init__(self, text: str) -> None:
        self.host, self.port = _host_port(text, self.example)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _loopback(self.host)

    def at(self, port: int) -> str:
        """The address with the port that it really has."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def __str__(self) -> str:
        return self.at(self.port)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash(str(self))


class Listen(HostPort):
    """`udp://127.0.0.1:514`, `tcp://`, `tls://`, `unix:///path` (a stream) or `unixgram:///path`. Raises ValueError."""

    __slots__ = ("path", "scheme")
    example: ClassVar[str] = "udp://127.0.0.1:514"

    def __init__(self, text: str) -> None:
        self.scheme, _, rest = text.partition("://")
        self.path = ""
        if self.scheme in ("udp", "tcp", "tls"):
            super().__init__(rest)
            return
        if self.scheme not in ("unix", "unixgram") or not rest.startswith("/") or rest.endswith("/"):
            raise ValueError(
                "an address such as udp://127.0.0.1:514, tcp://, tls://, unix:///run/shipper.sock or unixgram://"
            )
        if len(rest.encode()) > LONGEST_PATH or "\0" in rest:
            raise ValueError(f"a path of at most {LONGEST_PATH} bytes, such as unix:///run/shipper.sock")
        self.path, self.host, self.port = rest, "", 0

    @property
    def stream(self) -> bool:
        """Whether peers connect."""
        return self.scheme in ("tcp", "tls", "unix")

    @property
    def loopback(self) -> bool:
        return bool(self.path) or super().loopback

    def at(self, port: int) -> str:
        return f"{self.scheme}://{self.path or super().at(port)}"


def _host_port(text: str, example: str) -> tuple[str, int]:
    expected = f"a host and a port such as {example}"
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(expected) from error
    if not host or port is None or parts.netloc != text or parts.username is not None or (":" in host) != ("[" in text):
        raise ValueError(expected)
    return host, port


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

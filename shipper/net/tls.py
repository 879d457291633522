"""TLS for both ends: certificates are verified, host names too, unless `insecure_skip_verify` says otherwise."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from shipper.component import Scope
from shipper.options import RELATIVE, Group, Meta, Secret

__all__ = ["Tls"]


class Tls(Group):
    """Certificates and what is expected of the peer's."""

    ca: Annotated[
        Path | None,
        Meta(
            description="Trusted certificates (PEM) instead of the system's; a server then wants one of clients.",
            extra=RELATIVE,
        ),
    ] = None
    cert: Annotated[Path | None, Meta(description="Our own certificate with its chain, PEM.", extra=RELATIVE)] = None
    key: Annotated[Path | None, Meta(description="Its key, PEM; by default in the same file.", extra=RELATIVE)] = None
    key_password: Annotated[Secret | None, Meta(description="Password of the key.")] = None
    server_name: Annotated[
        str | None,
        Meta(description="Name expected in the server's certificate, when it is not the host of the address."),
    ] = None
    min_version: Annotated[Literal["1.2", "1.3"], Meta(description="Oldest version of TLS that is spoken.")] = "1.2"
    insecure_skip_verify: Annotated[
        bool,
        Meta(description="Talk to anybody, whatever certificate is shown. Whoever is in between reads everything."),
    ] = False

    def client(self, scope: Scope | None = None) -> ssl.SSLContext:
        """For connections we make. Raises OSError (`ssl.SSLError` is one) when a file is no use.

        With `insecure_skip_verify` the scope gets a warning and the gauge `tls_insecure` the first time.
        """
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if scope is not None and not scope.gauges.get("tls_insecure"):
                scope.gauges["tls_insecure"] = 1
                scope.log.warning(
                    "tls.insecure_skip_verify is on: certificates are not verified, anybody may be at the other end"
                )
        return self._finish(context)

    def server(self) -> ssl.SSLContext:
        """For connections we accept; with `ca`, clients must show a certificate that it has signed. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.ca is not None:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return self._finish(context)

    def _finish(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if self.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
        if self.cert is not None:
            # A password is always given: without one OpenSSL would ask for it on the terminal, and wait.
            password = self.key_password.reveal() if self.key_password else ""
            context.load_cert_chain(self.cert, self.key, password)
        return context

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Changes when a file was replaced (a renewed certificate, another CA)."""
        return tuple(_stamp(path) for path in (self.ca, self.cert, self.key) if path is not None)

    def problems(self, *, server: bool = False) -> Iterable[tuple[str, str]]:
        """Pairs of an option's name and a sentence; the files are read."""
        if server and self.cert is None:
            yield "cert", "is missing: a server needs a certificate"
        if self.key is not None and self.cert is None:
            yield "key", "found a key, expected `cert` beside it"
        broken = False
        for name, path in (("ca", self.ca), ("cert", self.cert), ("key", self.key)):
            if path is None:
                continue
            try:
                path.read_bytes()
            except OSError as error:
                broken = True
                yield name, f"{path} cannot be read: {error.strerror}"
        if broken:
            return
        if self.ca is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.ca)
            except OSError:
                yield "ca", f"{self.ca} holds no certificates in PEM form"
        if self.cert is not None:
            try:
                self._finish(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
            except OSError as error:
                locked = b"ENCRYPTED" in (self.key or self.cert).read_bytes()
                yield "cert", f"{self.cert} and its key cannot be used: {_why(error, locked)}"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def _why(error: OSError, locked: bool) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    if locked:
        return "the password of the key (`key_password`) is wrong or missing"
    return "they are not in PEM form, or there is no key (`key`)" if reason in (None, "NO_START_LINE") else str(reason)

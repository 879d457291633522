"""Who we are: the `Authorization` header of a request (RFC 7617 basic, RFC 6750 bearer), made and verified."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, ClassVar

from shipper.options import Group, Meta, Secret

__all__ = ["ApiKey", "Auth", "Basic", "Bearer", "accepts"]


class Basic(Group):
    """User and password."""

    tag: ClassVar[str] = "basic"
    user: Annotated[str, Meta(description="Name of the user; without a colon.")]
    password: Annotated[Secret, Meta(description="Password of the user.")]

    def header(self) -> str:
        """Value of the `Authorization` header."""
        return f"Basic {_base64(f'{self.user}:{self.password.reveal()}')}"

    def problems(self) -> Iterable[tuple[str, str]]:
        """Pairs of an option's name and a sentence."""
        if ":" in self.user or not self.user or not self.user.isprintable():
            yield "user", "found a name that is empty, or has a colon or a control character in it"
        yield from _unusable("password", self.password)


class Bearer(Group):
    """A token."""

    tag: ClassVar[str] = "bearer"
    token: Annotated[Secret, Meta(description="The token.")]

    def header(self) -> str:
        """Value of the `Authorization` header."""
        return f"Bearer {self.token.reveal()}"

    def problems(self) -> Iterable[tuple[str, str]]:
        """Pairs of an option's name and a sentence."""
        yield from _unusable("token", self.token, ascii_only=True)


class ApiKey(Group):
    """A key as Elasticsearch takes it: encoded, or as `id:key`."""

    tag: ClassVar[str] = "api_key"
    key: Annotated[Secret, Meta(description="The encoded key, or `id:key`.")]

    def header(self) -> str:
        """Value of the `Authorization` header."""
        key = self.key.reveal()
        return f"ApiKey {_base64(key) if ':' in key else key}"

    def problems(self) -> Iterable[tuple[str, str]]:
        """Pairs of an option's name and a sentence."""
        yield from _unusable("key", self.key, ascii_only=":" not in self.key.reveal())


Auth = Basic | Bearer | ApiKey


def accepts(auth: Auth, header: str | None) -> bool:
    """Whether a request with this `Authorization` header may pass; takes as long for a wrong one as for the right one.

    The name of the scheme may be in any case (RFC 9110 section 11.1); what follows must be exact. Credentials that
    are no use (empty, say) let nobody in.
    """
    wanted, _, mine = auth.header().partition(" ")
    scheme, _, theirs = (header or "").partition(" ")
    same = hmac.compare_digest(_digest(mine), _digest(theirs))
    return same and scheme.lower() == wanted.lower() and not any(True for _ in auth.problems())


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _unusable(name: str, secret: Secret, *, ascii_only: bool = False) -> Iterable[tuple[str, str]]:
    value = secret.reveal()
    if not value:
        yield name, "found nothing; empty credentials protect nothing"
    elif not value.isprintable() or (ascii_only and not (value.isascii() and value == value.strip())):
        yield name, "found characters that cannot stand in a header (a newline at the end, perhaps)"

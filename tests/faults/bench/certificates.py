"""Certificates for the TLS scenarios, made with openssl(1)."""

from __future__ import annotations

import ssl
import subprocess
import warnings
from pathlib import Path


class Authority:
    """A CA of our own: `ca = Authority(tmp_path, "ca")`, its certificate is `ca.pem`. Needs `@requires("openssl")`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.pem = folder / f"{name}.pem"
        self._openssl("req", "-x509", *_NEW, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip

    def issue(self, name: str, names: str = "IP:127.0.0.1,DNS:localhost", expired: bool = False) -> tuple[Path, Path]:
        """A certificate for these subject alternative names, and its key."""
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
        dates = ["-days", "-1" if expired else "2"]
        self._openssl("req", *_NEW, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key", *dates,
                      "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem")  # fmt: skip
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def server(self, name: str, names: str = "IP:127.0.0.1,DNS:localhost", expired: bool = False) -> ssl.SSLContext:
        """What `Destination(tls=...)` takes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, names, expired))
        return context

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def self_signed(folder: Path, name: str, names: str = "IP:127.0.0.1,DNS:localhost") -> ssl.SSLContext:
    """A server whose certificate nobody but itself has signed."""
    done = subprocess.run(
        ["openssl", "req", "-x509", *_NEW, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
         "-out", f"{name}.pem", "-addext", f"subjectAltName={names}"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def only_tls10(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same server speaking TLS 1.0 and nothing newer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def with_nul(before: str, after: str) -> str:
    """Subject alternative names for `issue`: the one DNS name `before NUL after`, which C takes for `before`."""
    text = f"{before}\0{after}".encode()
    return f"DER:30{len(text) + 2:02x}82{len(text):02x}{text.hex()}"


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

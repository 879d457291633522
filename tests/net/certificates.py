"""Certificates for servers on loopback, good and bad, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def issue(folder: Path) -> Path:
    """Fill a folder: two authorities, a certificate and a key for each of `good wrong_host foreign expired`, a locked key."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for ca in ("ca", "other_ca"):
        openssl("req", "-x509", *CURVE, "-days", "2", "-subj", f"/CN={ca}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")  # fmt: skip
    for name, ca, host, days in (
        ("good", "ca", "IP:127.0.0.1,DNS:logs.example", "2"),
        ("wrong_host", "ca", "DNS:other.example", "2"),
        ("foreign", "other_ca", "IP:127.0.0.1", "2"),
        ("expired", "ca", "IP:127.0.0.1", "-1"),
    ):
        (folder / f"{name}.ext").write_text(f"subjectAltName={host}\nauthorityKeyIdentifier=keyid\n")
        openssl("req", *CURVE, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", days,
                "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem")  # fmt: skip
    openssl("ec", "-in", "good.key", "-aes128", "-passout", "pass:canary", "-out", "locked.key")
    return folder

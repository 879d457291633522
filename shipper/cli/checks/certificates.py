"""Certificates: why one is not trusted, and how long one is still good."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shipper.cli.checks.finding import Finding, ok, problem, warning
from shipper.net.status import printable
from shipper.net.tls import Tls

__all__ = ["SOON", "days_left", "distrust", "own"]

SOON = 14  # days
NOT_YET, EXPIRED, SELF_SIGNED, OTHER_NAME = (9,), (10,), (18, 19), (62, 64)  # X509_V_ERR_* of <openssl/x509_vfy.h>


def days_left(certificate: Mapping[str, Any], now: float) -> tuple[str, int]:
    """The day on which it ends, and how many whole days that is from now."""
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%d}", int((ends - now) // 86400)


def distrust(error: ssl.SSLCertVerificationError, name: str, now: float) -> tuple[str, str]:
    """What is wrong with a peer's certificate, and what to do."""
    code = error.verify_code
    ours = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if code in EXPIRED:
        return "its certificate has expired", f"renew it; if it has been, set the clock (it says {ours})"
    if code in NOT_YET:
        return "its certificate is not valid yet", f"set the clock (it says {ours}), or wait"
    if code in OTHER_NAME:
        fix = "use a name that stands in the certificate, or write that name as `tls.server_name`"
        return f"its certificate is not for {name}", fix
    if code in SELF_SIGNED:
        return "its certificate is self-signed", "write its file as `tls.ca` if it is the right one"
    why = printable(error.verify_message or "not trusted", 200)
    return f"its certificate is not trusted: {why}", "write the authority that signed it as `tls.ca`"


def own(what: str, tls: Tls, now: float) -> list[Finding]:
    """The certificate that we show, by a handshake with ourselves in memory."""
    if tls.cert is None:
        return []
    ours = Tls(cert=tls.cert, key=tls.key, key_password=tls.key_password).server()  # it asks for none in return
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # it is trusted for itself
    client.load_verify_locations(tls.cert)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        ours.wrap_bio(there, back, server_side=True),
        client.wrap_bio(back, there),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                found, fix = distrust(error, "", now)
                return [problem(what, f"{tls.cert}: {found.removeprefix('its ')}", fix)]
    certificate = ends[1].getpeercert()
    if not certificate:
        return [warning(what, f"{tls.cert}: could not be read", "look at it with `openssl x509 -noout -text`")]
    until, left = days_left(certificate, now)
    if left < SOON:
        return [warning(what, f"{tls.cert}: the certificate ends in {left} days, on {until}", "renew it")]
    return [ok(what, f"{tls.cert}: good until {until}")]

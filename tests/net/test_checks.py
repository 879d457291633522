from pathlib import Path

import pytest

from shipper.net.auth import Bearer
from shipper.net.checks import check_client
from shipper.net.compression import Plain
from shipper.net.tls import Tls
from shipper.options import Secret


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("X-Evil", "canary\r\nX-More: 1", "headers.X-Evil"),
        ("X-Nul", "canary\0", "headers.X-Nul"),
        ("X-Wide", "canary \u2028", "headers.X-Wide"),
        ("X Space", "canary", "headers"),
        ("X:Colon", "canary", "headers"),
        ("", "canary", "headers"),
        ("content-LENGTH", "1", "headers.content-LENGTH"),
        ("authorization", "canary", "headers.authorization"),
        ("x-own", "canary", "headers.x-own"),
    ],
)
def test_headers_that_cannot_be_sent(name: str, value: str, where: str) -> None:
    """What would break the request, or fight with another option, is reported without its value."""
    problems = [
        *check_client(
            headers={name: Secret(value), "X-Fine": Secret("a b")}, auth=Bearer(token=Secret("t0ken")), tls=Tls(),
            compression=Plain(), own=["X-Own"],
        )
    ]  # fmt: skip
    assert [found for found, _ in problems] == [where]
    assert "canary" not in str(problems)


def test_parts_report_under_their_names() -> None:
    """Problems of `auth` and `tls` carry the option they are in."""
    tls = Tls(cert=Path("/nowhere/cert.pem"))
    problems = dict(check_client(headers={}, auth=Bearer(token=Secret("")), tls=tls, compression=Plain()))
    assert set(problems) == {"auth.token", "tls.cert"}

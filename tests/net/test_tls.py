import shutil
import ssl
from pathlib import Path

import pytest

from shipper.component import Scope
from shipper.net.tls import Tls
from shipper.options import Secret


def test_verifies_unless_told(certificates: Path) -> None:
    """Chain and host name are verified and TLS 1.2 is the oldest; the opt-out warns once and sets a gauge."""
    context = Tls().client()
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert Tls(min_version="1.3").client().minimum_version == ssl.TLSVersion.TLSv1_3
    assert Tls(ca=certificates / "ca.pem").client().verify_mode == ssl.CERT_REQUIRED


def test_the_opt_out_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Not verifying is warned of once and can be seen in a metric."""
    scope = Scope("out")
    for _ in range(2):
        context = Tls(insecure_skip_verify=True).client(scope)
    assert context.verify_mode == ssl.CERT_NONE
    assert scope.gauges == {"tls_insecure": 1}
    assert len(caplog.records) == 1


def test_a_server_asks_clients_when_told(certificates: Path) -> None:
    """With `ca` a client must show a certificate, without it none is asked for."""
    pair = {"cert": certificates / "good.pem", "key": certificates / "good.key"}
    assert Tls(**pair).server().verify_mode == ssl.CERT_NONE
    assert Tls(**pair, ca=certificates / "ca.pem").server().verify_mode == ssl.CERT_REQUIRED
    assert not [*Tls(**pair).problems(server=True)]


def test_files_that_are_no_use(certificates: Path, tmp_path: Path) -> None:
    """Missing, not PEM, of another pair, locked without its password: each is reported at its option."""
    text = tmp_path / "text"
    text.write_text("hello")
    good, key = certificates / "good.pem", certificates / "good.key"
    assert [name for name, _ in Tls(ca=tmp_path / "none", cert=tmp_path / "none").problems()] == ["ca", "cert"]
    assert [name for name, _ in Tls(ca=text).problems()] == ["ca"]
    assert [name for name, _ in Tls(cert=text).problems()] == ["cert"]
    assert [name for name, _ in Tls(key=key).problems()] == ["key"]
    assert [name for name, _ in Tls().problems(server=True)] == ["cert"]
    (other,) = Tls(cert=good, key=certificates / "foreign.key").problems()
    assert "another certificate" in other[1]
    locked = certificates / "locked.key"
    (closed,) = Tls(cert=good, key=locked).problems()
    assert "password" in closed[1]
    assert [name for name, _ in Tls(cert=good, key=locked, key_password=Secret("wrong")).problems()] == ["cert"]
    assert not [*Tls(cert=good, key=locked, key_password=Secret("canary")).problems()]


def test_a_replaced_file_is_noticed(certificates: Path, tmp_path: Path) -> None:
    """The stamp changes with the file, and a missing one is no error."""
    ca = tmp_path / "ca.pem"
    tls = Tls(ca=ca)
    missing = tls.stamp()
    shutil.copy(certificates / "ca.pem", ca)
    first = tls.stamp()
    fresh = tmp_path / "new"
    shutil.copy(certificates / "other_ca.pem", fresh)
    fresh.replace(ca)
    assert len({missing, first, tls.stamp()}) == 3

import pytest

from shipper.net.address import below, hider, secrets_of, userinfo, without_userinfo
from shipper.options import Url


@pytest.mark.parametrize(
    ("base", "joined"),
    [
        ("http://h:9200", "http://h:9200/_bulk?a=x%26y"),
        ("http://h/es/", "http://h/es/_bulk?a=x%26y"),
        ("http://u:p@h/es?k=1#f", "http://u:p@h/es/_bulk?k=1&a=x%26y"),
    ],
)
def test_below(base: str, joined: str) -> None:
    """A path is put behind the address's own, a parameter is encoded and put behind its own."""
    assert below(Url(base), "/_bulk", {"a": "x&y"}).reveal() == joined


def test_userinfo_leaves_the_address() -> None:
    """User and password are decoded and never part of what is requested."""
    url = Url("http://ann:p%40ss@h:1/x?token=abcd")
    assert userinfo(url) == ("ann", "p@ss")
    assert userinfo(Url("http://h")) is None
    assert without_userinfo(url) == "http://h:1/x?token=abcd"
    assert set(secrets_of(url)) == {"ann", "p@ss", "ann:p@ss", "abcd"}


def test_a_login_is_hidden_whole() -> None:
    """What a proxy or server repeats of `Authorization: Basic` is hidden, its user being base64 for itself or not."""
    find = hider(secrets_of(Url("http://abcdef:secret@h/")))
    assert find.sub("#", "<Basic YWJjZGVmOnNlY3JldA==>") == "<Basic #>"


def test_secrets_are_found_in_every_dress() -> None:
    """As they are, in base64, percent-encoded and as JSON writes them; short ones and none are left alone."""
    find = hider(['ca"na ry/é', "ab"])
    for dress in ('ca"na ry/é', "Y2EibmEgcnkvw6k=", "ca%22na%20ry%2F%C3%A9", 'ca\\"na ry/\\u00e9'):
        assert find.sub("#", f"<{dress}>") == "<#>"
    assert find.sub("#", "ab") == "ab"
    assert hider([]).sub("#", "anything") == "anything"

import pytest

from shipper.net.auth import ApiKey, Auth, Basic, Bearer, accepts
from shipper.options import Secret

BASIC = Basic(user="ann", password=Secret("pässword"))
BEARER = Bearer(token=Secret("tok3n"))
KEY = ApiKey(key=Secret("id:key"))


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (BASIC, "Basic YW5uOnDDpHNzd29yZA=="),
        (BEARER, "Bearer tok3n"),
        (KEY, "ApiKey aWQ6a2V5"),
        (ApiKey(key=Secret("aWQ6a2V5")), "ApiKey aWQ6a2V5"),
    ],
)
def test_header(auth: Auth, header: str) -> None:
    """Each kind makes the header its RFC (or Elasticsearch) describes, and accepts what it makes."""
    assert auth.header() == header
    assert accepts(auth, header)
    assert accepts(auth, header.replace("Basic", "basic").replace("Bearer", "BEARER"))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer tok3", "Bearer tok3nn", "Bearer TOK3N", "Bearer tok3n\0", "Bearer  tok3n",
     "Bearer tok3n ", "Basic tok3n", "tok3n", "Bearer \ud800"],
)  # fmt: skip
def test_nobody_else_gets_in(header: str | None) -> None:
    """Nothing, a part, more, another case, another scheme: refused."""
    assert not accepts(BEARER, header)


@pytest.mark.parametrize(
    "auth", [Basic(user="", password=Secret("")), Bearer(token=Secret("")), ApiKey(key=Secret(""))]
)
def test_empty_credentials_protect_nothing(auth: Auth) -> None:
    """They are a problem of the configuration, and let nobody in."""
    assert [*auth.problems()]
    assert not accepts(auth, auth.header())


@pytest.mark.parametrize(
    ("auth", "name"),
    [
        (Bearer(token=Secret("canary\n")), "token"),
        (Bearer(token=Secret("canäry")), "token"),
        (Basic(user="a:b", password=Secret("canary")), "user"),
        (Basic(user="a", password=Secret("canary\r\nX: y")), "password"),
        (ApiKey(key=Secret("canary ")), "key"),
    ],
)
def test_what_cannot_stand_in_a_header(auth: Auth, name: str) -> None:
    """It is reported under its option, without showing it."""
    problems = [*auth.problems()]
    assert [found for found, _ in problems] == [name]
    assert "canary" not in str(problems) + repr(auth)

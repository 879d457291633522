"""Whether Elasticsearch or OpenSearch would take us: its version, our login, our right to write. Nothing is written.

https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-info and
`/_security/user/_has_privileges`, which anybody may ask about himself and OpenSearch does not have.
"""

from __future__ import annotations

from typing import Any

import orjson

from shipper.errors import Rejected, Unavailable
from shipper.net.address import below
from shipper.net.probing import Asking
from shipper.net.status import printable
from shipper.options import Url

__all__ = ["welcome"]

VERSIONS = {"Elasticsearch": range(7, 10), "OpenSearch": range(1, 4)}
RIGHTS = {"create": "create_doc", "index": "index"}


async def welcome(ask: Asking, url: Url, name: str, op: str) -> str:
    """What it is, in a few words. Raises Unavailable or Rejected with what it says against us.

    `name` is an index or a pattern of names, `op` is `create` or `index`.
    """
    answer = await ask("GET", below(url, "/"))
    if answer.status == 403:
        said = f"{url} knows us, and does not tell its version"
        product = "Elasticsearch"
    else:
        ask.session.judge(answer)
        product, version = _version(url, answer.body)
        said = f"{product} {version}"
    if product == "Elasticsearch" and (why := await _forbidden(ask, url, name, op)):
        raise Unavailable(f"HTTP 403: {why}")
    return said


def _version(url: Url, body: bytes) -> tuple[str, str]:
    try:
        about: dict[str, Any] = orjson.loads(body)["version"]
        number = printable(str(about["number"]), 40)
        product = "OpenSearch" if about.get("distribution") == "opensearch" else "Elasticsearch"
        major = int(number.split(".")[0])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable(f"{url} answers, but not as Elasticsearch or OpenSearch do") from None
    if major not in VERSIONS[product]:
        wanted = VERSIONS[product]
        raise Rejected(f"{url} is {product} {number}, expected {wanted[0]} to {wanted[-1]}")
    return product, number


async def _forbidden(ask: Asking, url: Url, name: str, op: str) -> str | None:
    """What we may not do; None when all is allowed, or when that is not to be learned (no security, a proxy)."""
    question = orjson.dumps({"index": [{"names": [name], "privileges": [RIGHTS[op]]}]})
    headers = {"Content-Type": "application/json"}
    answer = await ask("GET", below(url, "/_security/user/_has_privileges"), question, headers)
    try:
        allowed = answer.status != 200 or orjson.loads(answer.body)["has_all_requested"]
    except (ValueError, KeyError, TypeError):
        return None
    return None if allowed else f"the right {RIGHTS[op]} on {name} is missing"

"""One HTTP request to a server under test, and what OpenSearch holds."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


def call(method: str, url: str, body: Any = None, headers: Mapping[str, str] = {}) -> Any:
    """The decoded answer; an AssertionError with the server's words when it is not 2xx."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{method} {url}: {error.code} {error.read().decode()[:500]}") from None
    return json.loads(text) if text else None


def documents(server: str, index: str) -> list[dict[str, Any]]:
    """All documents of an index (or a pattern of them), after a refresh; at most 100,000."""
    call("POST", f"{server}/{index}/_refresh")
    first = call("POST", f"{server}/{index}/_search?scroll=1m", {"size": 10_000, "sort": ["_doc"]})
    found = page = first["hits"]["hits"]
    while page and len(found) < 100_000:
        more = call("POST", f"{server}/_search/scroll", {"scroll": "1m", "scroll_id": first["_scroll_id"]})
        page = more["hits"]["hits"]
        found = found + page
    call("DELETE", f"{server}/_search/scroll", {"scroll_id": first["_scroll_id"]})
    return [{**hit["_source"], "_index": hit["_index"], "_id": hit["_id"]} for hit in found]

"""Whether Loki would take us: its labels are asked for, which needs the same login and writes nothing.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-labels
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from shipper.errors import Unavailable
from shipper.net.address import below, without_path
from shipper.net.probing import Asking
from shipper.options import Url

__all__ = ["ask_labels"]

PUSH, LABELS = "/loki/api/v1/push", "/loki/api/v1/labels"


async def ask_labels(ask: Asking, push: Url, headers: Mapping[str, str]) -> str:
    """What it is, in a few words. Raises Unavailable or Rejected with what it says against us.

    Who may only write is refused here (403), and a proxy may pass only `push` on (404): both say nothing of writing.
    """
    path = urlsplit(push.reveal()).path
    if not path.endswith(PUSH):
        return "its path is not Loki's own: nothing was asked"
    answer = await ask("GET", below(without_path(push), path.removesuffix(PUSH) + LABELS), headers=headers)
    if answer.status == 403:
        return "knows us; we may not read there, whether we may write only a push would tell"
    if answer.status == 404:
        return "answers, but not to questions; whether it takes events only a push would tell"
    if answer.status == 401 and b"no org id" in answer.body:
        return "answers, and wants a tenant, which the events decide"
    ask.session.judge(answer)
    if not answer.body.lstrip().startswith(b"{"):
        raise Unavailable(f"{push} answers, but not as Loki does")
    return "answers as Loki does, and knows us"

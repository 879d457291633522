"""Detectors of what opens doors: keys, tokens, passwords. They err on the side of hiding too much."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shipper.text.detectors import Detector, Span, caseless, last_four, literal, spans

# ---- passwords: `password=...`, `"api_key": "..."`, `\"token\":\"...\"`, and the names of fields
NAME = r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|(?:api|access|private|auth|secret|account)[_. -]?key|credentials?)"
FIELD = re.compile(rf"{NAME}$|(?:^|[_. -])(?:authorization|pass)$", re.ASCII | re.IGNORECASE)
STEMS = ("pass", "pwd", "secret", "token", "key", "credential", "authorization")
ASSIGNED = re.compile(
    rf"""(?P<name>{NAME}|\bpass)\\*["']?(?P<sign>\s{{0,3}}(?:=>|:=|==|=|:)\s{{0,3}})"""
    r"""(?:(?P<slashes>\\*)(?P<quote>["'])|(?!\[[\w:]{1,80}\])(?P<bare>(?:[^\s&;,"'\\)}\]<>]"""
    r"""|\\(?!["'])"""  # what closes or separates belongs to the value when more of it follows
    r"""|["')}\]<>](?=[^\s&;,:"'\\)}\]<>])|[&;,](?![\s"'\\]|[\w.-]{1,40}[=:]|$))+))""",
    re.ASCII | re.IGNORECASE,
)
PLAIN_QUOTE = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*", re.DOTALL) for quote in "\"'"}
HARMLESS = frozenset(("null", "none", "nil", "true", "false", "undefined"))


def passwords(text: str) -> Iterator[Span]:
    """The value behind a name that says it is secret; one in quotes up to its end, or to the end of the text."""
    at = 0
    while found := ASSIGNED.search(text, at):
        at = found.end()
        if found["quote"] is None:
            start, end = found.span("bare")
            if not _is_secret(found):
                at = start
                continue
        else:
            start, end = at, _closing(text, at, len(found["slashes"]), found["quote"])
            at = end
        if start < end:
            yield start, end
            at = end


def _is_secret(found: re.Match[str]) -> bool:
    value, name = found["bare"], found["name"].lower()
    if value.lower() in HARMLESS:
        return False
    if name == "pwd" and value.startswith("/"):
        return False  # the working directory
    apart = found["sign"].endswith((" ", "\t"))
    if apart and ASSIGNED.search(value):
        return False  # `secret= password=x`: nothing, and then the next one
    prose = apart and value.rstrip(".!?:").isalpha()
    return not (prose and name in ("token", "secret", "credential", "credentials"))  # `invalid token: unexpected end`


def _closing(text: str, start: int, slashes: int, quote: str) -> int:
    """Where a value in quotes ends; inside JSON in JSON a quote with more slashes than the first belongs to it."""
    if not slashes:
        inside = PLAIN_QUOTE[quote].match(text, start)
        return inside.end() if inside else start
    at = text.find(quote, start)
    while at >= 0:
        before = at - len(text[start:at]) + len(text[start:at].rstrip("\\"))
        if at - before <= slashes:
            return before
        at = text.find(quote, at + 1)
    return len(text)


def is_secret_name(key: str) -> bool:
    """Whether a field of this name holds a secret: `password`, `db_password`, `x-api-key`, `clientSecret`."""
    return FIELD.search(key) is not None


# ---- the Authorization header, and tokens quoted from it
BEARER = re.compile(
    r"""(?:(?P<header>authorization\\*["']?\s?[:=]\s?\\*["']?)(?:(?:bearer|basic|token|digest|apikey)\s+)?"""
    r"""|\bbearer[\s:=]{1,3}["']?)(?P<value>[A-Za-z0-9._~+/=:-]{6,})""",
    re.ASCII | re.IGNORECASE,
)


def is_token(found: re.Match[str]) -> bool:
    """Behind `Authorization:` anything; behind the word `bearer` what is no word of a sentence."""
    value = found["value"]
    return found["header"] is not None or len(value) >= 20 or not value.rstrip(".:").isalpha()


def has_password(found: re.Match[str]) -> bool:
    """`user:password`, or a user that is as long as a token."""
    user, colon, password = found[1].partition(":")
    return bool(colon and password) or len(user) >= 20


BOUND = r"(?<![A-Za-z0-9])"
PEM = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
PEM_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
AWS_ID = rf"{BOUND}(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{16}}(?![A-Za-z0-9])"
AWS_SECRET = re.compile(
    r"""secret[_. -]?(?:access[_. -]?)?key\\*["']?\s{0,3}[:=]\s{0,3}\\*["']?(?P<value>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])""",
    re.ASCII | re.IGNORECASE,
)
AWS_IDS = spans(AWS_ID)


def aws_keys(text: str) -> list[Span]:
    """Access key ids by their first letters, secret keys by the name in front of them."""
    return sorted([*AWS_IDS(text), *(found.span("value") for found in AWS_SECRET.finditer(text))])


CREDENTIALS: tuple[Detector, ...] = (
    Detector("private_key", spans(rf"{PEM}(?:[\s\S]*?{PEM_END}|[\s\S]*)"), literal("PRIVATE KEY")),
    Detector("url_credentials", spans(r"://([^\s/?#@\"'<>]+(?:@[^\s/?#@\"'<>]+)*)@", group=1, check=has_password), literal("://")),
    Detector("password", passwords, caseless(*STEMS)),
    Detector("bearer_token", spans(BEARER.pattern, group="value", check=is_token, flags=re.IGNORECASE),
             caseless("bearer", "authorization"), last_four),
    Detector("jwt", spans(r"(?<![A-Za-z0-9_-])eyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*){1,3}"), literal("eyJ")),
    Detector("aws_key", aws_keys, (*literal("AKIA", "ASIA", "ABIA", "ACCA"), *caseless("secret")), last_four),
    Detector("gcp_key", spans(rf"{BOUND}(?:AIza[\w-]{{35}}|ya29\.[\w-]{{20,}}|GOCSPX-[\w-]{{28}})(?![\w-])"),
             literal("AIza", "ya29.", "GOCSPX-"), last_four),
    Detector("azure_key", spans(r"(?:AccountKey|SharedAccessKey|sig)=([A-Za-z0-9+/%]{40,}={0,2})", group=1),
             literal("AccountKey=", "SharedAccessKey=", "sig="), last_four),
    Detector("github_token", spans(rf"{BOUND}(?:gh[pousr]_[A-Za-z0-9]{{36,251}}|github_pat_\w{{22,244}})(?!\w)"),
             literal("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), last_four),
    Detector("gitlab_token", spans(rf"{BOUND}gl(?:pat|dt|rt|cbt|ptt|soat)-[\w.-]{{20,}}"),
             literal("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-"), last_four),
    Detector("slack_token", spans(rf"{BOUND}xox[abeoprs]-[\w-]{{10,}}|(?<=hooks\.slack\.com/services/)[\w/]{{20,}}"),
             literal("xox", "hooks.slack.com"), last_four),
    Detector("stripe_key", spans(rf"{BOUND}(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{{16,}}"),
             literal("k_live_", "k_test_", "whsec_"), last_four),
    Detector("openai_key", spans(rf"{BOUND}sk-[\w-]{{20,}}"), literal("sk-"), last_four),
    Detector("npm_token", spans(rf"{BOUND}npm_[A-Za-z0-9]{{36}}(?!\w)"), literal("npm_"), last_four),
)  # fmt: skip
"""In the order in which they claim text: what may hold others comes first."""

"""All names that a log gets by rotation are one family, and two logs are two."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.files.families import family, lineage

ROTATED = """
app.log.1 app.log.12 app.log.2.gz app.log.3.zst app.log.gz app.log.xz app.log-1 app.log.1.bz2
app.log-20260801 app.log-20260801.gz app.log-2026080112 app.log-1722470400.gz app.log.1722470400 app.log.20260801-120000.gz
app.log.2026-08-01 app.log.2026-08-01.zst app.log.2026-08-01_12 app.log.2026-08-01_12-30 app.log.2026-08-01_12-30-45
app.log.2026-08-01-12.1 app.log.2026-08-01T12:30:00.123Z app.log.2026-08-01T12:30:00+0200 app.log.2026-08-01.log
app.log.20261122T120000Z app.log.20261122T120000Z-1.gz app.log.20260801-120000.12345
app-20260801.log app20260801.log app_20260801_001.log app-2026-08-01.log app-2026-08-01.1.log app-2026-08-01-1.log.gz
app.2026-08-01.0.log.gz app-08-01-2026-1.log.gz app_2026.08.01.log app-2026-08.log app-2026-W31.log app-31.12.2026.log
app-2026-08-01T00.log.gz app-2026-08-01T00-00-00.000.log app-2026-08-01T00-00-00.000.log.gz app__2026-08-01_00-00-00.log
app.2026-08-01_12-30-45_123456.log app.2026-08-01_12-30-45_123456.2.log.zip 2026-08-01-app.log 20260801-0000-01-app.log.gz
app.log.old app.log.bak app.log~ app.log.old.1 app.log.bak.gz app.log.prev app.log.1.old
""".split()  # noqa: SIM905 (a table)

LIVE = """
app.log worker-1.log worker-2.log app.1.log app-v1.2.log redis_6379.log redis_6380.log 10.0.0.1 10.0.0.2 10.0.0.1.log 10.0.0.2.log
syslog messages access_log error_log catalina.out app.json app.json.log app.log.json 0.log 1.log app-20260832.log app-2026-13-01.log
app.log.12345 app.log.23456 mysql-bin.000001 web-01_ns_main-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.log
postgresql-14-main.log node-1.2.log .log a.b.c \udcff.log 日志.log 19-worker.log 2026.log
""".split()  # noqa: SIM905 (a table)


@pytest.mark.parametrize("name", ROTATED)
def test_a_rotated_log_stays_in_its_family(name: str) -> None:
    """Whatever the usual rotations make of `app.log`, it is of that family."""
    assert family(f"/var/log/{name}") == "/var/log/app.log"


@pytest.mark.parametrize("name", LIVE)
def test_a_log_that_is_written_is_its_own_family(name: str) -> None:
    """Numbers that are part of a log's name stay in it."""
    assert family(f"/var/log/{name}") == f"/var/log/{name}"


@pytest.mark.parametrize(
    ("rotated", "live"),
    [
        ("syslog.1", "syslog"),
        ("messages-20260801", "messages"),
        ("access_log.1722470400", "access_log"),
        ("10.0.0.1.log.3.gz", "10.0.0.1.log"),
        ("0.log.20260801-120000.gz", "0.log"),
        ("worker-1.log.2", "worker-1.log"),
        ("2026-08-01-worker-1.log", "worker-1.log"),
        ("app-2026-08-01.json.log.gz", "app.json.log"),
        ("prog.host.user.log.INFO.20260801-120000.12345", "prog.host.user.log.INFO"),
        ("@400000006502e3a512d2c8fc.s", "current"),
        ("@400000006502e3a512d2c8fc.u.gz", "current"),
        ("2026-08-01.log", "log"),
        ("20260801", ""),
        ("日志.1", "日志"),
    ],
)
def test_other_logs_rotate_too(rotated: str, live: str) -> None:
    """Names without an ending, with addresses, with nothing but a day."""
    assert family(f"/x/{rotated}") == f"/x/{live}"


def test_a_number_before_the_ending_is_a_rotation_beside_its_log() -> None:
    """`app.1.log` and its packed copy are of `app.log` when that is there, and by themselves when it is not."""
    for rotated in ("app.1.log", "app-12.log", "app_3.log", "app.1.log.gz", "app.1.log.2"):
        assert family(f"/x/{rotated}", {"/x/app.log"}.__contains__) == "/x/app.log"
        assert family(f"/x/{rotated}", {"/x/other.log"}.__contains__) == family(f"/x/{rotated}")
    assert lineage("/x/app.1.log.gz", {"/x/app.log"}.__contains__) == ["/x/app.1.log", "/x/app.log"]
    assert family("/y/app.1.log", {"/x/app.log"}.__contains__) == "/y/app.1.log"


WORDS = st.sampled_from(["app", "web", "worker", "access", "db-main", "kube_proxy", "x", "Ω", "a1", "v2beta"])
ENDINGS = st.sampled_from([".log", ".txt", ".json", ".out", ".err", ".ndjson"])
NUMBERS = st.sampled_from(["", "-1", "-2", "_6379", ".7", "-007", "-10.0.0.1", "-31"])
LOGS = st.builds("{}{}{}".format, WORDS, NUMBERS, ENDINGS)
BARE = st.sampled_from(["syslog", "messages", "access_log", "auth-log"])
PACKED = st.sampled_from(["", ".gz", ".zst", ".xz", ".bz2", ".lz4"])
TIMES = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2099, 1, 1))
BEHIND = st.one_of(
    st.integers(0, 9999).map(lambda number: f".{number}"),
    st.builds(
        lambda between, time, form: between + time.strftime(form),
        st.sampled_from([".", "-", "_"]),
        TIMES,
        st.sampled_from(
            ["%Y%m%d", "%Y-%m-%d", "%Y-%m-%d_%H", "%Y-%m-%d_%H-%M", "%Y-%m-%d_%H-%M-%S", "%Y%m%d%H", "%Y%m%d-%H%M%S",
             "%Y%m%dT%H%M%SZ", "%Y.%m.%d", "%Y-%m-%dT%H-%M-%S.%f", "%Y-%m"]
        ),
    ),
    st.integers(1_400_000_000, 1_999_999_999).map(lambda second: f".{second}"),
    st.sampled_from([".old", ".bak", "~"]),
)  # fmt: skip
COUNTER = st.sampled_from(["", ".1", "-2", ".13"])


@st.composite
def rotations(draw: st.DrawFn) -> tuple[str, str]:
    """A log's name, and a name that it gets by one rotation or two and packing."""
    if draw(st.booleans()):
        live = draw(st.one_of(LOGS, BARE))
        return live, live + draw(BEHIND) + draw(st.one_of(st.just(""), BEHIND)) + draw(PACKED)
    live = draw(LOGS)
    stem, dot, ending = live.rpartition(".")
    form = draw(st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%d_%H-%M-%S", "%m-%d-%Y", "%d.%m.%Y"]))
    time = draw(TIMES).strftime(form) + draw(COUNTER)
    return live, stem + draw(st.sampled_from("-._")) + time + dot + ending + draw(PACKED)


@given(rotations())
def test_no_rotation_changes_the_family(names: tuple[str, str]) -> None:
    """Numbers, days, times, counters, words and packing behind a name or before its ending leave the family as it is."""
    live, rotated = names
    assert family(f"/var/log/{live}") == f"/var/log/{live}"
    assert family(f"/var/log/{rotated}") == f"/var/log/{live}"


@given(LOGS | BARE, LOGS | BARE, st.sampled_from(["/a", "/b"]))
def test_two_logs_are_two_families(one: str, other: str, folder: str) -> None:
    """Logs that are written at the same time, and logs of one name in two folders, can go to two workers."""
    if (folder, one) != ("/a", other):
        assert family(f"{folder}/{one}") != family(f"/a/{other}")


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60))
def test_any_name_has_one_family(name: str) -> None:
    """A family's name is its own family, and lies in the same folder."""
    found = family(f"/f/{name}")
    assert found.startswith("/f/")
    assert family(found) == found

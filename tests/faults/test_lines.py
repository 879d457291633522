"""T07 to T09: lines that come in pieces, that are huge, and that are written in any encoding."""

from __future__ import annotations

import codecs
import time
from collections import defaultdict

import pytest

from tests.faults.bench.destination import Destination
from tests.faults.bench.following import files_to, messages, quiet
from tests.faults.bench.lateness import p99, timed
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import nightly
from tests.faults.bench.wire import Event
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
MIB = 1 << 20
READ = 64 << 10  # bytes it reads at a time


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted between"])
def test_t07_a_line_in_pieces(bench: Bench, restarted: bool) -> None:
    """T07: a line that is written in three pieces over 2 s is 1 record, also when the agent is restarted between two of them."""
    log = bench.folder / "app.log"
    log.write_text("before\nthe first piece, ")
    with Destination() as server, bench.agent(files_to(server, log)) as agent, log.open("a", buffering=1) as writer:
        agent.wait_for(lambda: len(server.taken) == 1)
        for piece in ("the second, ", "the third\nafter\n"):
            time.sleep(1)  # the writer that waits is the fault
            if restarted:
                assert agent.stop() == 0
            writer.write(piece)
            writer.flush()
            if restarted:
                agent.start()
                agent.ready()
        agent.wait_for(lambda: len(server.taken) >= 3)
        quiet(bench, agent, server)
    bench.figure("records of a line in 3 pieces", "1", len(server.taken) - 2)
    assert messages(server) == ["before", "the first piece, the second, the third", "after"]


def test_t07_an_end_without_a_newline(bench: Bench) -> None:
    """T07: the end of a file that has no newline is held until the file was rotated and then has been quiet for `rotate_wait` (2 s);
    it is given out once, marked `unfinished`, and not again after a restart.
    """
    log, wait = bench.folder / "app.log", 2.0
    log.write_text("whole\ntorn")
    config = files_to(server := Destination(keep=timed), f"{log}*", rotate_wait=f"{wait}s")
    with server, bench.agent(config) as agent:
        agent.wait_for(lambda: len(server.taken) == 1)
        time.sleep(wait + 1)  # an unfinished line that is not rotated waits for ever
        assert messages(server) == ["whole"]
        log.rename(log.with_name("app.log.1"))
        rotated = time.monotonic()
        log.write_text("new\n")
        agent.wait_for(lambda: len(server.taken) >= 3)
        assert agent.stop() == 0
        agent.start()
        agent.ready()
        quiet(bench, agent, server)
    late = {event["message"]: event["at"] - rotated for event in server.taken}
    bench.figure("s from the rotation to the unfinished end", f"{wait:g} to {wait + 1:g}", late["torn"])
    assert sorted(messages(server)) == ["new", "torn", "whole"]
    assert [event["message"] for event in server.taken if event.get("unfinished")] == ["torn"]
    assert wait <= late["torn"] <= wait + 1


def short(event: Event) -> Event:
    """When it was taken, and of a huge line only how long it was."""
    return timed({**event, "message": event["message"][:400], "size": len(event["message"])})


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_t08_huge_lines(bench: Bench) -> None:
    """T08: lines of 1 MiB, 64 MiB and (nightly) 1 GiB with a limit of 1 MiB: the lines before and after each are there, the one of 1 MiB
    whole, the others as their first MiB, marked and counted; at most 32 MiB more of memory, and of another file meanwhile 99 %
    of the lines are out within 1 s.
    """
    huge, log = bench.folder / "huge.log", bench.folder / "app.log"
    sizes = [MIB, 64 * MIB, *([1024 * MIB] if nightly() else [])]
    huge.touch()
    with Destination(keep=short) as server, bench.agent(files_to(server, huge, log)) as agent:
        with FileWriter(bench.oracle, log, rate=1000) as writer:
            agent.wait_for(lambda: len(server.taken) > 2000)
            base = agent.rss()
            for number, size in enumerate(sizes):
                with huge.open("ab") as file:
                    file.write(f"before {number}\n".encode())
                    for _ in range(size // MIB):
                        file.write(b"x" * MIB)
                        time.sleep(0)  # the other writer wants to run too
                    file.write(f"\nafter {number}\n".encode())
                agent.wait_for(lambda end=f"after {number}": end in messages(server)[-5000:], 120, every=0.2)
            peak = agent.rss(peak=True)
            writer.stop()
        agent.wait_for(lambda: len(server.taken) >= writer.done + 3 * len(sizes))
        counted = agent.metric("shipper_long_lines_total", action="truncate")
        bench.sound(agent)
        assert agent.stop() == 0
    found = [event for event in server.taken if event["file"] == str(huge)]
    others = [event for event in server.taken if event["file"] != str(huge)]
    late = p99(writer, others)
    more = (peak - base) / MIB
    bench.figure("neighbours of huge lines", f"{2 * len(sizes)}", sum(event["size"] < 20 for event in found))
    bench.figure("MiB of memory more", "<= 32", more)
    bench.figure("p99 of another file, s", "<= 1", late)
    assert [event["message"] for event in found if event["size"] < 20] == [
        f"{side} {number}" for number in range(len(sizes)) for side in ("before", "after")
    ]
    cut = [event for event in found if event["size"] >= 20]
    assert [event["size"] for event in cut] == [MIB] * len(sizes)
    assert [event.get("truncated", False) for event in cut] == [size > MIB for size in sizes]
    assert counted == len(sizes) - 1
    assert more <= 32
    assert late <= 1
    bench.oracle.verdict(others).clean(duplicates=0)


SPLIT = {  # what may lie across the end of a read, how it is written, the options it is read with
    "two bytes": ("é", "utf-8", {}),
    "three bytes": ("€", "utf-8", {}),
    "four bytes": ("😀", "utf-8", {}),
    "surrogates": ("😀", "utf-16-le", {"encoding": "utf-16-le"}),
    "shift-jis": ("表", "shift-jis", {"encoding": "shift-jis"}),
    "CRLF": ("\r\n", "utf-8", {}),
    "delimiter": ("||", "utf-8", {"delimiter": "||"}),
}


@pytest.mark.parametrize("case", SPLIT)
def test_t09_across_the_end_of_a_read(bench: Bench, case: str) -> None:
    """T09: a character of several bytes, a CRLF or a delimiter of two characters is whole wherever a read ends in it."""
    text, encoding, options = SPLIT[case]
    size, logs, expected = len(text.encode(encoding)), bench.folder / "logs", {}
    logs.mkdir()
    end = str(options.get("delimiter", "\n"))
    unit = len("a".encode(encoding))
    for inside in range(0, size + 1, unit):  # so many of its bytes come with the first read
        front = "a" * ((READ - inside) // unit)
        whole = f"{front}{text}behind{end}next{end}"
        (logs / f"{inside}.log").write_bytes(whole.encode(encoding))
        expected[str(logs / f"{inside}.log")] = whole.replace("\r\n", "\n").split(end)[:-1]
    with Destination() as server, bench.agent(files_to(server, f"{logs}/*.log", **options)) as agent:
        agent.wait_for(lambda: len(server.taken) >= sum(map(len, expected.values())))
        bench.sound(agent)
        broken = agent.metric("shipper_decoding_errors_total")
        assert agent.stop() == 0
    right = sum(by_file(server)[path] == lines for path, lines in expected.items())
    bench.figure("places where a read ends, all right", f"{len(expected)}", right)
    assert by_file(server) == expected
    assert broken == 0


def by_file(server: Destination) -> dict[str, list[str]]:
    """The lines of each file."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for event in server.taken:
        found[event["file"]].append(event["message"])
    return found


WRITTEN = {  # a file and the lines that are in it, read as UTF-8
    "bom8.log": (codecs.BOM_UTF8 + "één\ntwo\n".encode(), ["één", "two"]),
    "bom16le.log": (codecs.BOM_UTF16_LE + "één\n表\n".encode("utf-16-le"), ["één", "表"]),
    "bom16be.log": (codecs.BOM_UTF16_BE + "één\n表\n".encode("utf-16-be"), ["één", "表"]),
    "crlf.log": (b"one\r\n\r\ntwo\r\n", ["one", "", "two"]),
    "cr.log": (b"one\rtwo\nthree\n", ["one\rtwo", "three"]),
    "nul.log": (b"a\0b\n\0\n", ["a\0b", "\0"]),
    "separators.log": ("a\u2028b\u0085c\x0bd\x0ce\u2029f\n".encode(), ["a\u2028b\u0085c\x0bd\x0ce\u2029f"]),
    "replaced.log": ("somebody replaced it before: \ufffd\n".encode(), ["somebody replaced it before: \ufffd"]),
    "broken.log": (
        b"a\xffb\n\xc3(\n\xe2\x82\n\xed\xa0\x80\n\xf0\x9f\x98 \xef\xbf\xbd\n",
        ["a\ufffdb", "\ufffd(", "\ufffd", "\ufffd" * 3, "\ufffd \ufffd"],
    ),
}
REPLACED = 7
"""Of the characters above those that were replaced by us."""


def test_t09_encodings(bench: Bench) -> None:
    """T09: byte order marks, CRLF, a lone CR, NUL, U+2028 and its like in UTF-8; what is broken is replaced, and counted exactly; Shift-JIS
    is read as what it says; as Latin-1 every byte of 64 KiB of noise is there again.
    """
    for folder in ("utf8", "jis", "raw"):
        (bench.folder / folder).mkdir()
    expected = {}
    for name, (data, lines) in WRITTEN.items():
        path = bench.folder / "utf8" / name
        path.write_bytes(data)
        expected[str(path)] = lines
    japanese = ["日本語のログ", "ﾊﾝｶｸ", "表示ソ能", "end"]
    path = bench.folder / "jis" / "jis.log"
    path.write_bytes("\n".join([*japanese, ""]).encode("shift-jis"))
    expected[str(path)] = japanese
    noise = bench.rng.randbytes(READ * 3 // 2).replace(b"\r\n", b"\n") + b"\n"
    raw = bench.folder / "raw" / "noise.log"
    raw.write_bytes(noise)
    expected[str(raw)] = noise.decode("latin-1").split("\n")[:-1]
    with Destination() as server:
        config = files_to(server, bench.folder / "utf8" / "*.log")
        app = config["inputs"]["app"]
        config["inputs"]["jis"] = {**app, "include": ["./jis/*.log"], "encoding": "shift-jis"}
        config["inputs"]["raw"] = {**app, "include": ["./raw/*.log"], "encoding": "latin-1"}
        with bench.agent(config) as agent:
            agent.wait_for(lambda: len(server.taken) >= sum(map(len, expected.values())))
            bench.sound(agent)
            counted = agent.metric("shipper_decoding_errors_total")
            assert agent.stop() == 0
    found = by_file(server)
    again = "".join(f"{text}\n" for text in found[str(raw)]).encode("latin-1")
    same = sum(one == other for one, other in zip(again, noise, strict=False)) / len(noise)
    bench.figure("bytes of noise that are the same, %", "100", 100 * same)
    bench.figure("characters replaced, and counted", f"{REPLACED}, equal", f"{counted:g}")
    assert again == noise
    assert found == expected
    assert counted == REPLACED

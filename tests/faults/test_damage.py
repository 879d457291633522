"""T17 and T18: positions and buffers that were torn, changed or removed while nobody looked."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.destination import Destination
from tests.faults.bench.dying import FILE_RATE, INTERVAL, WAIT, down, flow, positions, quarantine, segments, size
from tests.faults.bench.faultpoint import EVER, FaultPoint
from tests.faults.bench.needs import requires
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
Harm = Callable[[list[Path]], object]


def flip(path: Path, at: int) -> None:
    """One bit of the byte at this place."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def torn(*paths: Path) -> None:
    """Cut in the middle."""
    for path in paths:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("harm", "kept"),
    [
        pytest.param(lambda slots: torn(slots[-1]), True, id="newest torn"),
        pytest.param(lambda slots: flip(slots[-1], 40), True, id="newest flipped"),
        pytest.param(lambda slots: slots[-1].write_bytes(b""), True, id="newest empty"),
        pytest.param(lambda slots: slots[-1].write_bytes(b"\xff\0garbage" * 99), True, id="newest garbage"),
        pytest.param(lambda slots: slots[-1].unlink(), True, id="newest missing"),
        pytest.param(lambda slots: slots[0].write_bytes(b"\0" * 4096), True, id="oldest zeros"),
        pytest.param(lambda slots: torn(*slots), False, id="both torn"),
    ],
)
def test_t17_torn_checkpoint(bench: Bench, harm: Harm, kept: bool) -> None:
    """T17: whatever was done to a slot, it starts, loses 0 and repeats at most what one checkpoint interval and two waits of
    a batch bring; with both slots bad every file is read again, with a warning. (Each byte and each bit: the unit tests of the positions.)
    """
    log = bench.folder / "app.log"
    with Destination() as server:
        agent = bench.agent(flow(server, log, free_port())).start()
        agent.ready()
        with FileWriter(bench.oracle, log, FILE_RATE, total=int(2.4 * INTERVAL * FILE_RATE)) as writer:
            writer.finish()
        bench.oracle.wait(agent, server.taken)
        assert agent.stop() == 0
        before = len(server.taken)
        harm(positions(agent))
        bench.oracle.source("app.log").append(log, 500)
        agent.start().ready()
        bench.oracle.wait(agent, server.taken)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bound = int((INTERVAL + 2 * WAIT) * FILE_RATE) if kept else before
    bench.figure("lost", "0", len(verdict.missing))
    bench.figure("duplicates", f"<= {bound}", verdict.duplicates)
    verdict.clean(floor=1000, duplicates=bound)
    assert ("every file is read again from its beginning" in agent.stderr) == (not kept)
    assert kept == (verdict.duplicates < before)


@requires("gcc")
def test_t17_checkpoint_cannot_be_read(bench: Bench) -> None:
    """T17: EIO on each read of the positions: it starts all the same, reads every file again and says so; loses 0."""
    log = bench.folder / "app.log"
    point = FaultPoint(bench.folder, bench.folder / "data" / "state")
    app = bench.oracle.source("app.log")
    app.append(log, 1500)
    with Destination() as server:
        agent = bench.agent(flow(server, log, free_port()), env=point.env).start()
        agent.ready()
        bench.oracle.wait(agent, server.taken)
        assert agent.stop() == 0
        point.fail(errno.EIO, times=EVER, calls=["read"])
        app.append(log, 500)
        agent.start().ready()
        bench.oracle.wait(agent, server.taken)
        bench.sound(agent)
        hits = point.hits()
        point.off()
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost, when positions cannot be read", "0", len(verdict.missing))
    assert hits, "nothing was read"
    verdict.clean(floor=1000, duplicates=1500)
    assert "every file is read again from its beginning" in agent.stderr


# the buffer
CLIENTS, EACH = 8, 50
COUNT = CLIENTS * EACH


def frames(bench: Bench, server: Destination) -> Agent:
    """An agent that was killed while its buffer held 400 events, acknowledged and each in a frame of its own."""
    port = free_port()
    agent = bench.agent(flow(server, bench.folder / "app.log", port, disk="256KiB", events=1)).start()
    agent.ready()
    clients = [HttpClient(bench.oracle, port, f"client{n}", rate=1000, batch=1, total=EACH) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.finish()
    assert agent.kill() == -9
    assert len(segments(agent)) >= 4
    return agent


def number(path: Path) -> int:
    """Of its first event."""
    return int(path.stem)


def record(text: bytes) -> Harm:
    """One bit in this record."""

    def harm(paths: list[Path]) -> None:
        path = next(path for path in paths if text in path.read_bytes())
        flip(path, path.read_bytes().index(text) + 2)

    return harm


def tail(data: bytes) -> Harm:
    """These bytes behind the last segment."""
    return lambda paths: paths[-1].write_bytes(paths[-1].read_bytes() + data)


def half_a_frame(paths: list[Path]) -> None:
    data = paths[-1].read_bytes()
    last = data[data.rindex(b"\xf1shp") :]
    paths[-1].write_bytes(data + last[: len(last) // 2])


def later_version(paths: list[Path]) -> None:
    """As a later release would write it: nothing of it can be understood but its first frame."""
    from shipper.delivery.segments import heading

    paths[2].write_bytes(b"".join(heading(number(paths[2]), {"version": 99})) + b"\1" * 1000)


MIDDLE = -1  # as many as the third segment held


@pytest.mark.parametrize(
    ("harm", "lost", "corrupt", "kept"),
    [
        pytest.param(record(b"client4 25 "), 1, 1, 1, id="a bit flipped in the middle"),
        pytest.param(half_a_frame, 0, 0, 0, id="half a frame at the end"),
        pytest.param(tail(b"\0" * 5000), 0, 0, 0, id="zeros at the end"),
        pytest.param(tail(bytes(range(1, 256)) * 20), 0, 1, 1, id="garbage at the end"),
        pytest.param(lambda paths: paths[2].unlink(), MIDDLE, 1, 0, id="a segment missing"),
        pytest.param(later_version, MIDDLE, 1, 1, id="a segment of a later version"),
        pytest.param(lambda paths: flip(paths[2], 10), 0, 1, 1, id="the heading of a segment flipped"),
    ],
)
def test_t18_buffer_damage(bench: Bench, harm: Harm, lost: int, corrupt: int, kept: int) -> None:
    """T18: of 400 records only the damaged ones are missing, to the event; they are counted, the segment is kept, the sums
    are exact, and recovery is over within 5 s.
    """
    with Destination() as server:
        with down(server):
            agent = frames(bench, server)
        paths = segments(agent)
        if lost == MIDDLE:
            lost = number(paths[3]) - number(paths[2])
        harm(paths)
        began = time.monotonic()
        agent.start().ready(5)
        agent.wait_for(lambda: len(server.taken) >= COUNT - lost, what="to deliver", every=0.01)
        agent.wait_for(lambda: not agent.metric("shipper_buffer_events"), what="to empty its buffer")
        took = time.monotonic() - began
        agent.wait_for(lambda: len(quarantine(agent)) >= kept, what="to set it aside")
        bench.sound(agent)  # shipper_unaccounted_events 0
        counted = agent.metric("shipper_buffer_corrupt_records_total", output="es")
        dropped = agent.metric("shipper_dropped_events_total", reason="buffer_damaged")
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("arrived", f"{COUNT - lost} of {COUNT}", verdict.delivered)
    bench.figure("shipper_buffer_corrupt_records_total", str(corrupt), int(counted))
    bench.figure("seconds until all of it was out", "<= 5", took)
    assert (verdict.delivered, len(verdict.missing)) == (COUNT - lost, lost)
    assert (verdict.duplicates, verdict.spurious, verdict.corrupted) == (0, [], [])
    assert (counted, dropped) == (corrupt, lost)
    assert len(quarantine(agent)) == kept, quarantine(agent)
    assert size(segments(agent)) == 0, segments(agent)
    assert took <= 5

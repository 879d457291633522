"""T16 and T19: what was not fsynced is gone, and an fsync that fails."""

from __future__ import annotations

import errno
import time

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.destination import Destination
from tests.faults.bench.disks import LoopDisk
from tests.faults.bench.dying import REPEATS, Load, down, flow, freeze, half_down, moment, positions, segments
from tests.faults.bench.faultpoint import FaultPoint
from tests.faults.bench.needs import requires
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import tier

pytestmark = pytest.mark.faults


def power_cut(agent: Agent, disk: LoopDisk) -> None:
    """The power fails and comes back: the disk holds what had reached it, and the agent does not run."""
    freeze(agent)  # what it says from here on nobody hears
    snap, old = disk.cut(f"cut{time.monotonic_ns()}"), disk.image
    assert agent.kill() == -9
    disk.restore(snap)
    old.unlink()


@requires("root", "loop")
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_t16_power_cuts(bench: Bench) -> None:
    """T16: after 5 power cuts at random (nightly 50), file and HTTP in, the destination down half of the time: what was
    acknowledged is there, W\\D = 0 and K\\D = 0, and no checkpoint is ever empty. (There is one durability: `fsync`.)
    """
    log, port, cuts = bench.folder / "app.log", free_port(), tier(c=5, n=50)
    disk = bench.cleanup.enter_context(LoopDisk(bench.folder / "disk"))
    empty, in_use = 0, 0
    with Destination() as server:
        agent = bench.agent({**flow(server, log, port), "data_dir": str(disk.folder / "data")})
        agent.start()
        with Load(bench.oracle, log, port) as load:
            with half_down(server, bench.rng):
                for number in range(cuts):
                    in_use += moment(agent, bench.rng, number)
                    power_cut(agent, disk)
                    empty += sum(1 for path in positions(agent) if not path.stat().st_size)
                    agent.start()
            agent.ready()
        bench.oracle.wait(agent, server.taken, 60)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("power cuts", str(cuts), cuts)
    bench.figure("of these while the buffer was in use", "> 0", in_use)
    bench.figure("events written or acknowledged", "> 1,000", verdict.delivered)
    bench.figure("of these lost", "0", len(verdict.missing))
    bench.figure("checkpoints of 0 bytes", "0", empty)
    bench.figure("duplicates a cut", f"<= {REPEATS}", verdict.duplicates / cuts)
    assert len(load.client.source.acked) > 100, load.client.statuses  # K is not empty
    assert in_use
    assert empty == 0
    verdict.clean(floor=1000, duplicates=REPEATS * cuts)
    assert "positions are damaged" not in agent.stderr


@requires("root", "loop", "gcc")
@pytest.mark.nightly
def test_t19_fsync_fails(bench: Bench) -> None:
    """T19: the n-th fsync below `data_dir` fails with EIO, n = 1 to 6 (nightly 30): nothing is acknowledged until it is
    durable elsewhere, so that a power cut afterwards loses 0; the process goes on, with the same pid.
    """
    log, port, points = bench.folder / "app.log", free_port(), tier(c=6, n=30)
    disk = bench.cleanup.enter_context(LoopDisk(bench.folder / "disk"))
    point = FaultPoint(bench.folder, disk.folder / "data")
    hits: set[str] = set()
    with Destination() as server:
        config = {**flow(server, log, port), "data_dir": str(disk.folder / "data")}
        agent = bench.agent(config, env=point.env).start()
        agent.ready()
        with Load(bench.oracle, log, port) as load, down(server):
            agent.wait_for(lambda: segments(agent), what="to use its buffer")
            pid = agent.pid
            for number in range(1, points + 1):
                point.fail(errno.EIO, at=number, calls=["fsync"])
                agent.wait_for(point.hits, what="to call fsync")
                hits.update(point.hits())
                answered = load.client.statuses[200]
                agent.wait_for(lambda before=answered: load.client.statuses[200] > before, 5, "to work again")  # type: ignore[misc]
            point.off()
            assert agent.process is not None
            assert (agent.process.poll(), agent.pid) == (None, pid)
            power_cut(agent, disk)
            agent.start().ready()
        bench.oracle.wait(agent, server.taken, 60)
        bench.sound(agent)
        assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("fsyncs that failed", str(points), points)
    bench.figure("of these of segments", "> 0", sum(1 for hit in hits if hit.endswith(".seg")))
    bench.figure("lost", "0", len(verdict.missing))
    bench.figure("duplicates, also for want of saved positions", "any", verdict.duplicates)
    assert any(hit.endswith(".seg") for hit in hits), hits
    verdict.clean(floor=1000, duplicates=None)

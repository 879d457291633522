"""How supervisor, workers and front hear of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.api.server import Answer, Server
from shipper.workers.local import ask, bound
from shipper.workers.post import pair


def test_lines_come_whole_and_in_order() -> None:
    """What is said is heard once, line by line; what is not there yet is waited for by nobody."""
    one, other = pair()
    assert other.hear() == ([], True)
    one.say("ready")
    one.say("reloaded ok")
    assert other.hear() == (["ready", "reloaded ok"], True)
    one.close()
    assert other.hear() == ([], False)
    other.close()


def test_last_words_are_heard() -> None:
    """Lines that were said before the end are there with the end."""
    one, other = pair()
    one.say("ended")
    one.close()
    assert other.hear() == (["ended"], False)
    assert not other.say("stop"), "nobody is there, and nothing is raised"
    other.close()


def test_nobody_waits_for_who_does_not_listen() -> None:
    """A process that stands still cannot hold up the one that tells it something."""
    one, other = pair()
    taken = [one.say(f"state {n} " + "x" * 1000) for n in range(10_000)]
    assert not all(taken)
    lines, _ = other.hear()
    assert len(lines) == sum(taken)
    assert {len(line) for line in lines} <= {len(f"state {n} " + "x" * 1000) for n in (0, 10, 100, 1000)}
    one.close()
    other.close()


@pytest.mark.parametrize("deep", ["", "d" * 120])
async def test_a_socket_however_deep_it_lies(tmp_path: Path, deep: str) -> None:
    """A worker answers at its socket, for its own user only, and where the path is longer than the kernel allows too."""
    path = tmp_path / deep / "workers" / "0.sock"
    path.parent.mkdir(parents=True)
    path.write_text("left by another process")
    server = Server("localhost", 0, lambda request: Answer(200, request.path * 100_000))
    await server.start_on(bound(path))
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        assert await ask(path, "/metrics", 5) == (200, "/metrics" * 100_000)
    finally:
        await server.stop()


async def test_who_does_not_answer_is_an_error_in_time(tmp_path: Path) -> None:
    """A worker that is gone, or stands still, costs the patience and no more."""
    with pytest.raises(FileNotFoundError):
        await ask(tmp_path / "1.sock", "/livez", 5)
    still = bound(tmp_path / "2.sock")
    still.listen()
    try:
        with pytest.raises(TimeoutError):
            await ask(tmp_path / "2.sock", "/livez", 0.05)
    finally:
        still.close()

"""Addresses that are listened on."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from shipper.net.listen import HostPort, Listen
from shipper.net.sockets import bind


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "path", "loopback"),
    [
        ("udp://127.0.0.1:514", "udp", "127.0.0.1", 514, "", True),
        ("tcp://[::1]:0", "tcp", "::1", 0, "", True),
        ("tls://logs.example:6514", "tls", "logs.example", 6514, "", False),
        ("tcp://0.0.0.0:514", "tcp", "0.0.0.0", 514, "", False),
        ("unix:///run/a.sock", "unix", "", 0, "/run/a.sock", True),
        ("unixgram:///run/b", "unixgram", "", 0, "/run/b", True),
    ],
)
def test_listen(text: str, scheme: str, host: str, port: int, path: str, loopback: bool) -> None:
    """Every kind of address is taken apart, and written again as it was."""
    listen = Listen(text)
    assert (listen.scheme, listen.host, listen.port, listen.path, listen.loopback) == (
        scheme,
        host,
        port,
        path,
        loopback,
    )
    assert str(listen) == text
    assert listen == Listen(text)


@pytest.mark.parametrize(
    "text",
    ["", "udp", "udp://", "udp://127.0.0.1", "udp://:514", "udp://127.0.0.1:x", "udp://127.0.0.1:70000", "http://a:1",
     "tcp://a:1/path", "tcp://u:p@a:1", "tcp://::1:514", "unix://relative", "unix:///", "unixgram:///" + "x" * 200, "127.0.0.1:514"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    """Anything else is a ValueError that says what was expected."""
    with pytest.raises(ValueError, match="such as"):
        Listen(text)


def test_examples_are_valid() -> None:
    """The examples that errors show can be used."""
    assert str(Listen(Listen.example)) == Listen.example
    assert str(HostPort(HostPort.example)) == HostPort.example
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:8080"):
        HostPort("8080")


async def test_a_name_may_stand_for_several_addresses() -> None:
    """All of them get the same port, and its address is the one that was written."""
    bound = await bind(Listen("tcp://localhost:0"))
    try:
        ports = {each.getsockname()[1] for each in bound.sockets}
        assert len(ports) == 1
        assert bound.address == f"tcp://localhost:{ports.pop()}"
    finally:
        bound.close()


async def test_an_address_that_is_taken_is_named() -> None:
    """The error says which address and why; two readers never share a UDP port."""
    for scheme in ("udp", "tcp"):
        first = await bind(Listen(f"{scheme}://127.0.0.1:0"))
        try:
            with pytest.raises(OSError, match=f"cannot listen on {first.address}: Address already in use"):
                await bind(Listen(first.address))
        finally:
            first.close()
            first.close()


async def test_the_file_of_another_is_left(tmp_path: Path) -> None:
    """Close removes the socket's file, unless another has put one of its own there."""
    path = tmp_path / "a.sock"
    bound = await bind(Listen(f"unix://{path}"))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        bound.close()
        assert path.exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "tcp://localhost:0"])
async def test_workers_share_a_port(address: str) -> None:
    """Those that say so bind the same port; one that does not is refused, as ever."""
    one = await bind(Listen(address), shared=True)
    again = Listen(one.address)
    two = await bind(again, shared=True)
    assert two.address == one.address
    with pytest.raises(OSError, match="cannot listen on"):
        await bind(again)
    one.close()
    two.close()
    alone = await bind(again)
    with pytest.raises(OSError, match="cannot listen on"):
        await bind(again, shared=True)
    alone.close()


async def test_the_kernel_divides_peers_among_workers() -> None:
    """Connections go to either, datagrams of one peer always to the same."""
    streams = [await bind(Listen("tcp://127.0.0.1:0"), shared=True)]
    streams.append(await bind(Listen(streams[0].address), shared=True))
    host, port = "127.0.0.1", streams[0].sockets[0].getsockname()[1]
    clients = [socket.create_connection((host, port)) for _ in range(64)]
    accepted = [0, 0]
    for index, bound in enumerate(streams):
        with suppress(BlockingIOError):
            while True:
                bound.sockets[0].accept()[0].close()
                accepted[index] += 1
    assert sum(accepted) == 64
    assert min(accepted) > 0
    datagrams = [await bind(Listen("udp://127.0.0.1:0"), shared=True)]
    datagrams.append(await bind(Listen(datagrams[0].address), shared=True))
    where = datagrams[0].sockets[0].getsockname()
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(32)]
    for number in range(3):
        for index, sender in enumerate(senders):
            sender.sendto(b"%d %d" % (index, number), where)
    owners: dict[bytes, set[int]] = {}
    for index, bound in enumerate(datagrams):
        with suppress(BlockingIOError):
            while True:
                owners.setdefault(bound.sockets[0].recv(100).split()[0], set()).add(index)
    assert len(owners) == 32
    assert {len(each) for each in owners.values()} == {1}
    assert len(set.union(*owners.values())) == 2
    for each in (*clients, *senders, *streams, *datagrams):
        each.close()

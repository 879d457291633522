from shipper.clock import Clock
from shipper.net.endpoints import Endpoints
from shipper.options import Url

A, B, C = (Url(f"http://{name}:9200") for name in "abc")


class Standing(Clock):
    now_is = 0.0

    def monotonic(self) -> float:
        return self.now_is


def test_they_take_turns() -> None:
    """Each in order, then from the beginning."""
    nodes = Endpoints([A, B, C], Standing())
    assert [nodes.pick() for _ in range(6)] == [A, B, C, A, B, C]


def test_one_that_fails_rests_longer_each_time() -> None:
    """It is left out for 1, 2, 4 ... at most 30 seconds, and is back after its first success."""
    clock = Standing()
    nodes = Endpoints([A, B], clock)
    for rest in (1, 2, 4, 8, 16, 30, 30):
        nodes.failed(A)
        nodes.failed(A)  # under way at the same time: counts once
        clock.now_is += rest - 0.1
        assert {nodes.pick() for _ in range(4)} == {B}
        clock.now_is += 0.2
        assert A in {nodes.pick() for _ in range(2)}
    nodes.worked(A)
    nodes.failed(A)
    clock.now_is += 1.1
    assert A in {nodes.pick() for _ in range(2)}


def test_when_all_rest_one_is_tried() -> None:
    """Nobody waits here: the one whose rest ends first is taken."""
    clock = Standing()
    nodes = Endpoints([A, B], clock)
    nodes.failed(B)
    clock.now_is = 0.5
    nodes.failed(A)
    assert nodes.pick() == B
    assert "2 in all" in repr(nodes)

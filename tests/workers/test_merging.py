"""Pages of several processes become one: sums, and counters that never go back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shipper.api.metrics import Page as Written
from shipper.workers.merging import GREATEST, LEAST, Memory, merged, parse

NAMES = st.sampled_from(['shop "one"\n', "a\\b", "plain", "with space and {brace}", "é"])
NUMBERS = st.one_of(st.integers(0, 2**40), st.floats(0, 1e6).map(lambda x: round(x, 3)))


def page(counts: dict[str, float], started: float, gauges: dict[str, float] | None = None) -> str:
    out = Written()
    out.add("shipper_input_events_total", "counter", "Events received.", (({"input": n}, v) for n, v in counts.items()))
    out.add("shipper_buffer_events", "gauge", "On disk.", (({"output": n}, v) for n, v in (gauges or {}).items()))
    out.add("process_start_time_seconds", "gauge", "Start.", [({}, started)])
    out.add("process_uptime_seconds", "gauge", "Since.", [({}, started / 2)])
    return out.text()


@given(st.lists(st.dictionaries(NAMES, NUMBERS), min_size=1, max_size=4))
def test_series_by_series_it_is_the_sum(counts: list[dict[str, float]]) -> None:
    """Whatever labels hold, the merged page has each series once, with the sum of all pages; start times are the least."""
    pages = [parse(page(each, 100.0 + n, each)) for n, each in enumerate(counts)]
    whole = parse(merged(pages))
    for family in ("shipper_input_events_total", "shipper_buffer_events"):
        found = {key: value for key, value in whole.values.items() if key[0] == family}
        keys = {key for each in pages for key in each.values if key[0] == family}
        assert set(found) == keys
        for key in keys:
            assert abs(found[key] - sum(each.values.get(key, 0) for each in pages)) < 1e-3
    assert whole.started == 100.0
    assert whole.values["process_uptime_seconds", "process_uptime_seconds"] == (99 + len(counts)) / 2


def test_a_page_of_one_is_that_page() -> None:
    """Nothing is lost or written otherwise on the way through: names, help, kinds, order, numbers."""
    text = page({"a": 3, "b": 0.5}, 1795387211.257, {"c": 2**40})
    assert merged([parse(text)]) == text


def test_histograms_add_up_bucket_by_bucket() -> None:
    """Bounds stay apart, counts under one bound are added."""
    text = "# HELP h x\n# TYPE h histogram\n" + 'h_bucket{le="0.1"} 1\nh_bucket{le="+Inf"} 3\nh_sum 0.5\nh_count 3\n'
    assert merged([parse(text)] * 2).splitlines()[2:] == [
        'h_bucket{le="0.1"} 2', 'h_bucket{le="+Inf"} 6', "h_sum 1", "h_count 6",
    ]  # fmt: skip


def test_what_is_no_sum_is_no_sum() -> None:
    """Every worker takes part in each reload and has each option: with two of them, there is still one."""
    for name in GREATEST | LEAST:
        text = f"# HELP {name} x\n# TYPE {name} gauge\n{name} 1\n"
        assert merged([parse(text)] * 3) == text


def test_a_counter_never_goes_back() -> None:
    """A worker that died is still in the sum, as it was seen last, and its successor's counts are added to that."""
    memory = Memory()
    key = "shipper_input_events_total", 'shipper_input_events_total{input="a"}'

    def seen(text: str | None) -> float:
        if text is None:
            shown = memory.missing("worker 1")
            assert shown is not None
        else:
            shown = parse(text)
            memory.saw("worker 1", shown)
        other = parse(page({"a": 1000}, 5.0))
        return parse(merged([other, shown], memory.ended)).values[key]

    lives = [page({"a": 10}, 7.0), page({"a": 50}, 7.0), None, page({"a": 0}, 9.0), page({"a": 4}, 9.0), None]
    lives.append(page({"a": 1}, 11.0))
    assert [seen(each) for each in lives] == [1010, 1050, 1050, 1050, 1054, 1054, 1055]


def test_what_an_ended_worker_held_is_not_held() -> None:
    """Gauges of a process that does not answer are left out: what it had in its hands is gone or on the disk."""
    memory = Memory()
    memory.saw("worker 0", parse(page({"a": 10}, 7.0, {"out": 5})))
    last = memory.missing("worker 0")
    assert last is not None
    text = merged([last])
    assert "shipper_input_events_total" in text
    assert 'shipper_buffer_events{output="out"}' not in text

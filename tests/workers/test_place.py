"""What each worker runs: its inputs, its folder, its part of the limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.config.load import load
from shipper.config.model import Config
from shipper.errors import ConfigError
from shipper.share import Share
from shipper.workers import folders
from shipper.workers.place import places

TEXT = """
data_dir: ./data
workers: 2
memory_limit: 96MiB
dead_letters: {max_bytes: 1GiB}
inputs:
  app: {type: file, include: [./*.log]}
  pipe: {type: stdin}
outputs:
  web: {type: http, url: "http://127.0.0.1:9/", delivery: {buffer: {disk: 1GiB}}}
  small: {type: http, url: "http://127.0.0.1:9/", delivery: {buffer: {disk: 8MiB}}}
  none: {type: blackhole}
"""


def config(folder: Path, text: str = TEXT) -> Config:
    file = folder / "shipper.yaml"
    file.write_text(text)
    return load([file])


@given(st.text(), st.integers(1, 9))
def test_each_key_is_one_worker_s(key: str, count: int) -> None:
    """Whatever a name holds, exactly one of the workers takes what goes by it."""
    assert [Share(index, count).takes(key) for index in range(count)].count(True) == 1


@pytest.mark.parametrize("pattern", ["/var/log/app/a{}.log", "/var/log/app/worker-{}.log", "/srv/{}/access.log"])
def test_names_in_a_row_are_divided_evenly(pattern: str) -> None:
    """Of eight files whose names differ in one digit neither of two workers gets more than five."""
    names = [pattern.format(number) for number in range(8)]
    assert 3 <= sum(map(Share(0, 2).takes, names)) <= 5


def test_who_takes_what_never_changes() -> None:
    """These are written down as they were in the first release: by another division files would change hands."""
    names = [f"/var/log/app/a{number}.log" for number in range(6)] + ["/var/log/syslog", "é", ""]
    owners = [next(k for k in range(4) if Share(k, 4).takes(name)) for name in names]
    assert owners == [2, 1, 0, 3, 2, 1, 1, 3, 0]


def test_the_first_has_what_cannot_be_divided(tmp_path: Path) -> None:
    """Standard input is worker 0's; files are everybody's; outputs and pipelines stay, so that buffers are emptied."""
    whole = config(tmp_path)
    first, second = (place.config(whole) for place in places(whole, []))
    assert (list(first.inputs), list(second.inputs)) == (["app", "pipe"], ["app"])
    assert second.pipelines["main"].inputs == ["app"]
    assert list(second.outputs) == list(whole.outputs)
    assert (first.data_dir, second.data_dir) == (tmp_path / "data", tmp_path / "data" / "workers" / "1")
    assert whole.pipelines["main"].inputs == ["app", "pipe"], "the whole is as it was"


def test_limits_for_all_together_are_divided(tmp_path: Path) -> None:
    """Memory, buffers and dead letters; not below what one process needs, and nothing is made of nothing."""
    whole = config(tmp_path)
    mine = places(whole, [])[1].config(whole)
    assert mine.settings.memory_limit == 48 * 2**20
    assert mine.settings.dead_letters.max_bytes == 2**29
    disks = {name: spec.delivery.buffer.disk for name, spec in mine.outputs.items()}
    assert disks == {"web": 2**29, "small": 8 * 2**20, "none": 0}
    assert whole.settings.memory_limit == 96 * 2**20


def test_who_is_of_an_earlier_run_reads_nothing(tmp_path: Path) -> None:
    """A folder beyond the number of workers is one whose buffers are emptied: no inputs, but a share in what is written."""
    whole = config(tmp_path, TEXT.replace("workers: 2", "workers: 1"))
    first, left = places(whole, [3])
    assert left.drains
    assert not left.config(whole).inputs
    assert first.part.share("input") == Share(0, 1), "it reads everything"
    assert [place.part.share("output") for place in (first, left)] == [Share(0, 2), Share(1, 2)]
    assert first.part.common == tmp_path / "data" / "workers"


def test_folders_of_all(tmp_path: Path) -> None:
    """The data folder comes first, then the workers' in order of their numbers; nothing else below `workers` is one."""
    assert folders.data_dirs(tmp_path) == [tmp_path]
    for name in ("10", "2", "claims", "0", "01"):
        (tmp_path / "workers" / name).mkdir(parents=True)
    (tmp_path / "workers" / "1").write_text("a file")
    assert folders.data_dirs(tmp_path) == [tmp_path, tmp_path / "workers" / "2", tmp_path / "workers" / "10"]


def test_the_number_of_the_last_run(tmp_path: Path) -> None:
    """It is kept; where none was there was one process; where it is damaged every folder may hold positions."""
    assert folders.last_count(tmp_path) == 1
    folders.remember_count(tmp_path, 3)
    assert folders.last_count(tmp_path) == 3
    (tmp_path / "workers" / "count").write_bytes(b"\x00\xff")
    (tmp_path / "workers" / "1").mkdir()
    assert folders.last_count(tmp_path) == 2


@pytest.mark.parametrize("workers", ["2", "auto"])
@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("http, listen: '127.0.0.1:0'", "inputs.in.listen"),
        ("syslog, listen: ['unix:///tmp/s', 'udp://127.0.0.1:0']", "inputs.in.listen[1]"),
    ],
)
def test_any_port_cannot_be_shared(tmp_path: Path, workers: str, given: str, where: str) -> None:
    """Port 0 with several workers is a problem with its line: each would get another. With one it is fine."""
    text = f"workers: {workers}\ninputs:\n  in: {{type: {given}}}\noutputs: {{out: {{type: blackhole}}}}\n"
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, text)
    assert [problem.path for problem in caught.value.problems] == [where]
    assert re.search(r"shipper.yaml:3:\d+: inputs.*: found port 0 with workers: ", str(caught.value.problems[0]))
    assert config(tmp_path, text.replace(workers, "1")).workers == 1

"""T48: configurations that nobody should write, and ten thousand that nobody did."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.faults.bench.commands import Commands, Done
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import seeded, tier

pytestmark = pytest.mark.faults
CPU = 1.0  # seconds
RSS = 200 << 20
PLACE = re.compile(r"[a-z]+\.yaml:\d+:\d+: ")

FIXED = "data_dir: ./data\napi: {listen: '127.0.0.1:0'}\n"
SEED = r"""
log: {level: info, format: text}
shutdown_grace: 30s
memory_limit: 96MiB
inputs:
  app: {type: file, include: ["logs/*.log", "logs/**/*.txt"], exclude: ["*.gz"], poll_interval: 100ms, multiline: python}
  web: {type: http, listen: "127.0.0.1:0", auth: {type: bearer, token: "${TOKEN:-abc}"}, max_body_bytes: 10MiB}
  sys: {type: syslog, listen: ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"], format: auto}
filters:
  parse:
    type: parse
    format: regex
    pattern: '(?P<status>\d+) (?P<path>\S+)'
    types: {status: int}
    on_error: pass
  where: &common {type: enrich, host: true, fields: {site: "{host}-a"}}
  hide: {type: redact, detect: [email, credit_card], action: mask}
  few: {type: sample, rate: 0.5, when: 'status < 500 and "health" in path'}
  one: {type: dedupe, fields: [message], window: 10s}
outputs:
  es:
    type: elasticsearch
    endpoints: ["http://127.0.0.1:9"]
    index: "logs-{service:app}-{timestamp:%Y.%m.%d}"
    delivery: {batch: {bytes: 5MiB, events: 500, wait: 1s}, retry: {first: 1s, give_up: 5m}, buffer: {disk: 64MiB}}
  loki: {type: loki, url: "http://127.0.0.1:9", labels: {job: x, level: "{level}"}, tenant: "{team:none}"}
  disk: {type: file, path: "out/{service:app}.log", rotate: {size: 1MiB, keep: 3}}
  none: {type: blackhole, rate: 1000}
pipelines:
  main: {inputs: [app, web], filters: [parse, where, hide], outputs: [es, {output: loki, when: "level == 'error'"}]}
  rest: {inputs: [sys], filters: [few, one], outputs: [disk, none]}
tests:
  - name: hides mail addresses
    pipeline: main
    input: [{message: "200 /from/ann@example.com"}]
    expect: [{status: 200}]
"""
ODD = [
    "", "null", "~", "[]", "{}", "[[[[", "}}", ": ", "- ", "? ", "| ", "> ", "# ", "'", '"', "`", "@", "%YAML 9.9", "---\n", "...\n",
    "!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system", "!x ", "!!binary aGk=", "!!set {a, b}",
    "&a [*a]", "*common", "*nobody", "<<: *common", "&common ", "\0", "\x1b[31m", "\x85", "\u2028", "\ufeff", "é", "\t", "\r", "\n",
    "-1", "0", "1e400", ".nan", ".inf", "0x", "9" * 30, "true", "2026-11-22", "5XiB", "10years", "9" * 5000 + "s", "1_000",
    "${HOME}", "${X", "${}", "${NOT_SET}", "${LINES}", "${file:nowhere}", "${file:.}", "${X:-a: b\nc: d}", "$$", "$",
    "{service", "}", "{service:%Q}", "{a.b[0]}", '{"', "{}", "status >=", "__import__('os').system('touch pwned')", "a if b else c",
    "x" * 5000, "[" * 100, "(" * 200, "not " * 500, "(a+)+$", "(", "(?P<a>", "\\", "type: file", "type: nobody", "api: null", "a.b: 1",
]  # fmt: skip


def bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(rows) + "\n"


def replaced(old: str, new: str) -> Callable[[], str]:
    assert old in SEED
    return lambda: SEED.replace(old, new, 1)


ABUSE: dict[str, tuple[Callable[[], str], int]] = {
    "alias bomb": (lambda: SEED + bomb(), 2),
    "alias of itself": (lambda: SEED + "loop: &loop [*loop]\n", 2),
    "python object": (replaced("30s", "!!python/object/apply:os.system ['touch pwned']"), 2),
    "python in a filter": (replaced("{type: sample, rate: 0.5,", "{type: sample, rate: !!python/name:os.system ,"), 2),
    "duplicate key": (replaced("  web: {", "  app: {type: stdin}\n  web: {"), 2),
    "duplicate in a mapping": (replaced("rate: 0.5", "rate: 0.5, rate: 1"), 2),
    "unknown key": (replaced("poll_interval", "pol_interval"), 2),
    "unknown at the top": (lambda: SEED + "output: {}\n", 2),
    "50 MiB": (lambda: SEED + "# " + "x" * (50 << 20) + "\n", 2),
    "50 MiB in one line": (lambda: "a: " + "[" * (50 << 20), 2),
    "just under 1 MiB of values": (lambda: SEED + "x: [" + "1," * 500_000 + "]\n", 2),
    "nesting": (lambda: SEED + "x: " + "[" * 100_000 + "\n", 2),
    "text in a variable is no structure": (replaced('"{host}-a"', '"${LINES}"'), 0),
    "structure in a variable": (replaced("30s", "${LINES}"), 2),
    "code in a condition": (replaced("status < 500", '__import__("os").system("touch pwned")'), 2),
    "a condition that never ends": (replaced("status < 500", "9 ** 9 ** 9 > status"), 2),
}
LINES = "x\noutputs:\n  evil: {type: file, path: pwned}\n"


def sound(done: Done, status: int, folder: Path) -> None:
    """It ended as it should, said where the problem is, and did nothing else."""
    assert done.status == status, done.said[-2000:]
    assert "Traceback" not in done.said
    assert not (folder / "pwned").exists()
    assert done.cpu <= CPU, done
    assert done.rss <= RSS, done
    if status == 2:
        rows = [row for row in done.stderr.splitlines() if not row.startswith("warning: ")]
        assert re.fullmatch(r"\d+ problems?", rows[-1]), rows
        assert len(rows) > 1 and all(PLACE.match(row) for row in rows[:-1]), rows


@pytest.mark.parametrize("case", ABUSE)
def test_t48_abuse(bench: Bench, case: str) -> None:
    """T48: bombs, foreign objects, keys written twice, keys nobody knows, 50 MiB, and variables full of YAML end with 2
    and the line in at most 1 s of the processor and 200 MiB, run no code, and `validate` says what `run` says.
    """
    text, status = ABUSE[case]
    (bench.folder / "bad.yaml").write_text(text())
    (bench.folder / "fixed.yaml").write_text(FIXED)
    files = ("-c", "bad.yaml", "-c", "fixed.yaml")
    with Commands(bench.folder, env={"LINES": LINES}) as run:
        judged = run("validate", *files)
        api = bench.folder / "data/api"
        started = run("run", *files, started=api)
    sound(judged, status, bench.folder)
    if status:
        sound(started, status, bench.folder)
        assert started.stderr == judged.stderr
    else:
        assert started.started, started.said[-2000:]
    bench.figure("seconds of the processor until refused", f"<= {CPU:g}", max(judged.cpu, started.cpu))
    bench.figure("seconds", "(shown)", judged.seconds)
    bench.figure("MiB of memory", "<= 200", judged.rss >> 20)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """The seed with one to three mistakes: lines lost, doubled, exchanged or shifted; odd text put in, or in place of a value."""
    text = SEED
    for _ in range(draw(st.integers(1, 3))):
        rows = text.split("\n")
        at = draw(st.integers(0, len(rows) - 1))
        how = draw(st.sampled_from(["lose", "double", "exchange", "in", "out", "odd", "value", "insert", "cut"]))
        odd = draw(st.sampled_from(ODD))
        if how == "lose":
            del rows[at]
        elif how == "double":
            rows.insert(draw(st.integers(0, len(rows))), rows[at])
        elif how == "exchange":
            other = draw(st.integers(0, len(rows) - 1))
            rows[at], rows[other] = rows[other], rows[at]
        elif how in ("in", "out"):
            rows[at] = "  " + rows[at] if how == "in" else rows[at].removeprefix("  ")
        elif how == "value":
            places = list(re.finditer(r"(?<=: )[^,{}\[\]]+", rows[at]))
            if places:
                place = draw(st.sampled_from(places))
                rows[at] = rows[at][: place.start()] + odd + rows[at][place.end() :]
        elif how == "cut":
            rows[at] = rows[at][: draw(st.integers(0, len(rows[at])))]
        else:
            place_at = draw(st.integers(0, len(rows[at])))
            put = odd if how == "odd" else draw(st.text(st.characters(exclude_characters="/"), min_size=1, max_size=3))
            rows[at] = rows[at][:place_at] + put + rows[at][place_at:]
        text = "\n".join(rows)
    return text


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@seeded
def test_t48_mutants(bench: Bench) -> None:
    """T48: of 300 configurations made wrong at random (nightly 10,000, over both seeds), each is started or refused with 2 and its
    lines within 1 s of the processor; `validate` and `run` agree on every one, tracebacks 0, code run 0.
    """
    file, data = bench.folder / "bad.yaml", bench.folder / "data"
    (bench.folder / "fixed.yaml").write_text(FIXED)
    (bench.folder / "logs").mkdir()
    files = ("-c", "bad.yaml", "-c", "fixed.yaml")
    refused: list[Done] = []
    started = slowest = 0.0

    def one(text: str) -> None:
        nonlocal started, slowest
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        shutil.rmtree(data, ignore_errors=True)
        judged = run("validate", *files)
        begun = run("run", *files, started=data / "api")
        assert judged.status in (0, 2), judged.said[-2000:]
        assert (begun.status == 2) == (judged.status == 2), f"{judged.said[-1000:]}\nbut\n{begun.said[-1000:]}"
        sound(judged, judged.status, bench.folder)
        assert "Traceback" not in begun.said, begun.said
        slowest = max(slowest, judged.cpu)
        if judged.status == 2:
            sound(begun, 2, bench.folder)
            assert begun.stderr == judged.stderr
            refused.append(judged)
        else:
            started += begun.started or begun.status == 0
            assert begun.started or begun.status in (0, 1), begun.said[-2000:]

    count = tier(c=150, n=5000)
    phases = (hypothesis.Phase.generate, hypothesis.Phase.shrink)
    given = hypothesis.given(mutants())(one)
    given = hypothesis.seed(bench.seed)(given)
    settings = hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with Commands(bench.folder, warm=True, env={"LINES": LINES}) as run:
        settings(given)()
    bench.figure("mutants", str(count), len(refused) + int(started))
    bench.figure("of these refused, with their lines", "> 0", len(refused))
    bench.figure("of these started", "> 0", int(started))
    bench.figure("verdicts of validate and run that differ", "0", 0)
    bench.figure("tracebacks", "0", 0)
    bench.figure("seconds of the processor, the slowest", f"<= {CPU:g}", slowest)
    assert len(refused) > count / 4 and started > count / 50

"""The real process under test: started with a configuration, watched over HTTP, stopped or killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import yaml

ROOT = Path(__file__).parents[2]
PATIENCE = 15.0  # seconds; only a test that fails waits that long
T = TypeVar("T")


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """What a child gets: this tree's package first on its path, and bytecode kept, as an installed one has it."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    return {**env, **extra}


def shipper(
    *args: str | Path,
    cwd: Path = ROOT,
    stdin: str | bytes = b"",
    env: Mapping[str, str] = {},
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a command of `shipper` to its end; `returncode`, `stdout` and `stderr` are in the result."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    argv = [sys.executable, "-m", "shipper", *map(str, args)]
    try:
        done = subprocess.run(argv, cwd=cwd, env=environment(env), input=data, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode()[-3000:]
        raise AssertionError(f"it still runs after {timeout} s; stderr ends:\n{said}") from None
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def write_config(config: str | Path | Mapping[str, Any], folder: Path) -> Path:
    """The configuration as a file: a path is taken as it is, text or a mapping is written to `folder/shipper.yaml`.

    What we write has an API on a port of the kernel's choice, unless it says otherwise.
    """
    if isinstance(config, Path):
        return config
    text = config if isinstance(config, str) else yaml.safe_dump(dict(config), sort_keys=False, width=1000)
    path = folder / "shipper.yaml"
    if "api" not in yaml.safe_load(text):
        text += "\napi: {listen: 127.0.0.1:0}\n"
    path.write_text(text)
    return path


class Agent:
    """`shipper run` as a process of its own.

        with Agent(config, tmp_path) as agent:            # started and ready
            agent.wait_for(lambda: out.exists())
            assert agent.metric("shipper_input_events_total", input="app") == 3
            assert agent.stop() == 0

    `config` is text, a mapping, or the path of a file. At the end of the block a process that still runs is
    killed. After `stop` or `kill`, `start` runs it again with the same configuration and data folder.
    """

    def __init__(
        self,
        config: str | Path | Mapping[str, Any],
        tmp_path: Path,
        *,
        args: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """`under` are words before its command line (strace, prlimit, nice); they must end in an `exec` of the rest."""
        self.folder = tmp_path
        self.config = write_config(config, tmp_path)
        said = yaml.safe_load(self.config.read_text()).get("data_dir", "shipper-data")
        self.data_dir = self.config.parent / said
        self.args = args
        self.under = tuple(under)
        self.env = dict(env or {})
        self.stdin = stdin
        self._stdout = stdout
        self.stderr_file = tmp_path / "agent.stderr"
        self.stdout_file = tmp_path / "agent.stdout"
        self.process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        self.start()
        try:
            self.ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"Agent({self.config}, {self.url or 'no address yet'}, status {self.process and self.process.poll()})"

    # life and death
    def start(self) -> Self:
        """Start it, without waiting; what it says is appended to `stderr` and `stdout` over all its lives."""
        assert self.process is None, "it runs already"
        self._url = ""
        with contextlib.suppress(FileNotFoundError):
            (self.data_dir / "api").unlink()  # of a life that was killed
        argv = [*self.under, sys.executable, "-m", "shipper", "run", "-c", str(self.config), *self.args]
        with self.stderr_file.open("ab") as stderr, self.stdout_file.open("ab") as stdout:
            self.process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env=environment(self.env),
                stdin=self.stdin,
                stdout=stdout if self._stdout is None else self._stdout,
                stderr=stderr,
            )
        return self

    def ready(self, timeout: float = PATIENCE) -> None:
        """Wait for `/readyz` to answer 200."""
        self.wait_for(lambda: self.url and self.answers("/readyz") == 200, timeout, "to be ready")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for it to end by itself; its exit status (negative: the signal that killed it)."""
        assert self.process is not None, "it does not run"
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs after {timeout} s; {self.tail()}") from None
        self.process = None
        return status

    def stop(self, timeout: float = 40, signum: int = signal.SIGTERM) -> int:
        """Ask it to end, and wait; its exit status."""
        self.signal(signum)
        return self.wait(timeout)

    def kill(self) -> int:
        """SIGKILL, as a crash or the kernel would do it."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def signal(self, signum: int) -> None:
        assert self.process is not None, "it does not run"
        self.process.send_signal(signum)

    def end(self) -> None:
        """Whatever its state, it runs no longer."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    # what it says
    @property
    def pid(self) -> int:
        assert self.process is not None, "it does not run"
        return self.process.pid

    @property
    def url(self) -> str:
        """The address of its API, `http://127.0.0.1:PORT`; empty until it is known."""
        if not self._url:
            with contextlib.suppress(FileNotFoundError):
                address = (self.data_dir / "api").read_text().strip()
                self._url = address if not address or "://" in address else f"http://{address}"
        return self._url

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text(errors="replace") if self.stderr_file.exists() else ""

    @property
    def stdout(self) -> str:
        return self.stdout_file.read_text(errors="replace") if self.stdout_file.exists() else ""

    def tail(self) -> str:
        """The last lines it said, for the message of a failing test."""
        return "stderr ends:\n" + "\n".join(self.stderr.splitlines()[-25:])

    def answers(self, path: str) -> int:
        """The HTTP status of a page of its API; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def get(self, path: str, token: str = "") -> str:
        """A page of its API, with `api.token` if there is one; raises when it does not answer 2xx."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
        with urllib.request.urlopen(request, timeout=5) as response:
            return str(response.read().decode())

    def status(self) -> Any:
        """`/status`, decoded."""
        return json.loads(self.get("/status"))

    def metrics(self) -> dict[str, float]:
        """`/metrics`: each series as it is written there, `name{label="value"}`, and its value."""
        pairs = (line.rpartition(" ") for line in self.get("/metrics").splitlines() if line and line[0] != "#")
        return {series: float(value) for series, _, value in pairs}

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all series of this name that carry these labels; 0 when there is none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            value
            for series, value in self.metrics().items()
            if series.partition("{")[0] == name and all(label in series for label in wanted)
        )

    def dead_letters(self, component: str) -> list[Any]:
        """What was set aside for this component, decoded; empty when nothing was."""
        return list(ndjson(self.data_dir / "dead_letters" / f"{component}.ndjson"))

    def unaccounted(self) -> dict[str, float]:
        """The series of `shipper_unaccounted_events` that are not 0: must always be empty."""
        return {
            series: value
            for series, value in self.metrics().items()
            if series.startswith("shipper_unaccounted_events") and value
        }

    def tracebacks(self) -> list[str]:
        """Every traceback on its stderr, over all its lives: must always be empty."""
        return [part[:2000] for part in self.stderr.split("Traceback (most recent call last)")[1:]]

    # what it uses (Linux)
    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()

    def rss(self, peak: bool = False) -> int:
        """Bytes of resident memory, now or at most so far in this life."""
        field = "VmHWM:" if peak else "VmRSS:"
        return next(int(row.split()[1]) * 1024 for row in self._proc("status").splitlines() if row.startswith(field))

    def cpu_seconds(self) -> float:
        """User and system time of this life so far."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fds(self) -> int:
        """How many file handles it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def wait_for(self, predicate: Callable[[], T], timeout: float = PATIENCE, what: str = "", every: float = 0.02) -> T:
        """Wait until `predicate` gives something true, and return it; asked again after `every` seconds.

        Fails when the time is over, and as soon as the process has ended while it is still false.
        """
        end = time.monotonic() + timeout
        while True:
            ended = self.process is not None and self.process.poll() is not None
            if found := predicate():
                return found
            if ended:
                raise AssertionError(f"it ended with {self.process and self.process.returncode}; {self.tail()}")
            if time.monotonic() > end:
                raise AssertionError(f"waited {timeout} s for it {what or 'in vain'}; {self.tail()}")
            time.sleep(every)


def ndjson(path: Path) -> Iterator[Any]:
    """The JSON lines of a file, decoded; none when there is no file. An unfinished last line is left out."""
    if path.exists():
        for line in path.read_text().split("\n")[:-1]:
            yield json.loads(line)

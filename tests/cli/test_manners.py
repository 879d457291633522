"""How the command line treats people: help, suggestions, completion, sentences in place of tracebacks."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from shipper.cli.main import cli
from tests.e2e.agent import environment, shipper


def commands() -> Iterator[str]:
    """Every command and subcommand there is."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        yield name
        yield from (f"{name} {each}" for each in getattr(cli.get_command(context, name), "commands", ()))


COMMANDS = tuple(commands())
GOOD = """
data_dir: ./data
inputs: {in: {type: stdin}}
outputs: {out: {type: stdout}}
"""
FILTER = "from shipper import EventFilter\nclass Geo(EventFilter):\n    def event(self, event, attrs):\n        return event\n"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_an_example(command: str) -> None:
    """Status 0, what it does, its options, and an example that begins with the command itself."""
    done = shipper(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example:" in done.stdout
    assert f"shipper {command}".strip() in done.stdout.partition("Example:")[2]
    assert "\x1b" not in done.stdout, "colour only on a terminal"


def test_commands_that_read_a_configuration_take_c() -> None:
    """`-c/--config` is everywhere where it means something."""
    for command in set(COMMANDS) - {"schema", "buffer", "dlq"}:
        if not command.startswith("plugins"):
            assert "-c, --config FILE" in shipper(*command.split(), "--help").stdout, command


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("vaildate",), "Did you mean 'validate'?"),
        (("plugin",), "Did you mean 'plugins'?"),
        (("run", "--onc"), "--once"),
        (("plugins", "shwo"), "show"),
        (("nothing-like-it",), "No such command"),
    ],
)
def test_what_it_does_not_know_it_says(args: tuple[str, ...], words: str) -> None:
    """Status 2, and the nearest that there is."""
    done = shipper(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_version() -> None:
    """`--version` is the package's."""
    from shipper import __version__

    assert shipper("--version").stdout == f"shipper {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    """`_SHIPPER_COMPLETE=bash_source shipper` prints what a shell sources; it completes commands and options."""
    script = shipper(env={"_SHIPPER_COMPLETE": f"{shell}_source"})
    assert script.returncode == 0, script.stderr
    assert "_shipper_completion" in script.stdout
    for words, last, index, wanted in (
        ("shipper va", "va", 1, "validate"),
        ("shipper plugins sh", "sh", 2, "show"),
        ("shipper run --o", "--o", 2, "--once"),
        ("shipper plugins new fi", "fi", 3, "filter"),
    ):
        at = last if shell == "fish" else str(index)
        env = {"_SHIPPER_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": at}
        done = shipper(env=env)
        assert wanted in done.stdout, (words, done)


def sentence(*args: str | Path, status: int = 2, **more: object) -> str:
    """What a command says when it fails: the status is right and there is no traceback."""
    done = shipper(*args, timeout=20, **more)  # type: ignore[arg-type]
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("command", ["run", "validate", "test"])
def test_configurations_that_cannot_be_read(command: str, tmp_path: Path) -> None:
    """Missing, not a file at all, a loop of links, forbidden, a folder without YAML, endless, too large: a sentence each."""
    assert "nope.yaml: cannot be read: No such file" in sentence(command, "-c", "nope.yaml", cwd=tmp_path)
    (tmp_path / "a.yaml").write_text(GOOD)
    assert "cannot be read: Not a directory" in sentence(command, "-c", tmp_path / "a.yaml/b.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert "cannot be read: Too many levels" in sentence(command, "-c", tmp_path / "loop.yaml")
    if os.geteuid():
        (tmp_path / "a.yaml").chmod(0)
        assert "cannot be read: Permission denied" in sentence(command, "-c", tmp_path / "a.yaml")
    (tmp_path / "empty").mkdir()
    assert "without any *.yaml file" in sentence(command, "-c", tmp_path / "empty")
    assert "more than 1 MiB" in sentence(command, "-c", "/dev/zero")
    (tmp_path / "big.yaml").write_text("#" * (2**20 + 1))
    assert "big.yaml:1:1: found a file of more than 1 MiB" in sentence(command, "-c", tmp_path / "big.yaml")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    assert "binary.yaml:1:1: " in sentence(command, "-c", tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    "command", ["buffer ls", "buffer check", "buffer export out", "dlq ls", "plan", "files", "doctor"]
)
def test_a_data_folder_that_cannot_be_looked_into(command: str, tmp_path: Path) -> None:
    """Whatever the system says of it is a sentence."""
    config = tmp_path / "shipper.yaml"
    config.write_text(GOOD.replace("./data", f"./{'x' * 300}").replace("stdin", "file, include: [./*.log]"))
    done = shipper(*command.split(), "-c", config)
    assert "File name too long" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if command == "files" else 1)


BROKEN = {
    "import": ("import nothing_such\n" + FILTER, "cannot be imported: ModuleNotFoundError"),
    "syntax": (FILTER.replace("class Geo(EventFilter):", "class Geo(EventFilter)"), "cannot be imported: SyntaxError"),
    "exits": ("import sys\nsys.exit(7)\n" + FILTER, "cannot be imported: SystemExit"),
    "annotation": (
        "from __future__ import annotations\n" + FILTER.replace("    def", "    x: Nonsense = 1\n    def"),
        "an annotation cannot be read",
    ),
    "check": (FILTER + "    def check(self):\n        return 1 / 0\n", "ZeroDivisionError"),
    "made": (FILTER + "    def __post_init__(self):\n        raise KeyError('boom')\n", "KeyError: 'boom'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_a_problem_of_the_configuration(name: str, tmp_path: Path) -> None:
    """With the line that uses it, the plugin's file or class, and what is wrong; for validate, test and run alike."""
    text, words = BROKEN[name]
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/geo.py").write_text(text)
    file = tmp_path / "shipper.yaml"
    file.write_text(GOOD + "plugins: [./plugins]\nfilters: {where: {type: geo}}\n")
    said = {sentence(command, "-c", file) for command in ("validate", "test", "run")}
    assert len(said) == 1
    assert f"{file}:6:" in (line := said.pop())
    assert words in line
    if "cannot be imported" in words:
        assert f"{tmp_path}/plugins/geo.py" in line
        assert f"{tmp_path}/plugins/geo.py" in sentence("schema", "--plugins", tmp_path / "plugins")
        assert f"{tmp_path}/plugins/geo.py" in sentence("plugins", "show", "geo", "--dir", tmp_path / "plugins")
        listed = shipper("plugins", "list", "--dir", tmp_path / "plugins")
        assert listed.returncode == 0
        assert words in listed.stdout


def test_a_clash_names_both_places(tmp_path: Path) -> None:
    """Two plugins of one name, or a plugin with the name of a built-in: an error at the line that uses it, with both files."""
    for folder, name in (("one", "geo"), ("two", "geo"), ("two", "drop")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.py").write_text(FILTER)
    file = tmp_path / "shipper.yaml"
    file.write_text(GOOD + "plugins: [./one, ./two]\nfilters: {a: {type: geo}, b: {type: drop, when: x}}\n")
    for command in ("validate", "run"):
        said = sentence(command, "-c", file)
        assert f"{file}:6:21: filters.a.type: " in said
        assert f"{tmp_path}/one/geo.py and {tmp_path}/two/geo.py" in said
        assert f"shipper/filters/drop.py and {tmp_path}/two/drop.py" in said
    both = ("--plugins", tmp_path / "one", "--plugins", tmp_path / "two")
    assert "is there twice" in sentence("schema", *both)
    dirs = ("--dir", tmp_path / "one", "--dir", tmp_path / "two")
    assert f"{tmp_path}/one/geo.py and {tmp_path}/two/geo.py" in sentence("plugins", "show", "geo", *dirs)


def test_ctrl_c_while_it_waits(tmp_path: Path) -> None:
    """SIGINT while a configuration comes slowly through a pipe: it ends with 1, without a traceback."""
    pipe = tmp_path / "slow.yaml"
    os.mkfifo(pipe)
    argv = [sys.executable, "-m", "shipper", "validate", "-c", str(pipe)]
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
    process = subprocess.Popen(argv, env=environment(), stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    try:
        with pipe.open("w"):  # opens once it reads
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "Traceback" not in stderr


def test_ctrl_c_while_it_runs(tmp_path: Path) -> None:
    """SIGINT is a stop like SIGTERM: status 0 when nothing is held."""
    (tmp_path / "shipper.yaml").write_text(GOOD + "api: null\n")
    argv = [sys.executable, "-m", "shipper", "run"]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(argv, cwd=tmp_path, env=environment(), stdin=subprocess.PIPE, stderr=err)
    try:
        end = time.monotonic() + 20
        while "positions and dead letters" not in (tmp_path / "err").read_text():
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in (tmp_path / "err").read_text()


@pytest.mark.parametrize("args", [("schema",), ("plugins", "list"), ("plugins", "show", "file"), ("--help",)])
def test_a_closed_pipe_is_no_traceback(args: tuple[str, ...], tmp_path: Path) -> None:
    """`shipper schema | head -0`: nothing on stderr."""
    read, write = os.pipe()
    os.close(read)
    try:
        argv = [sys.executable, "-m", "shipper", *args]
        done = subprocess.run(argv, env=environment(), stdout=write, stderr=subprocess.PIPE, text=True, timeout=20)
    finally:
        os.close(write)
    assert done.stderr == ""

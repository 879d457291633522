"""`shipper plugins` and `shipper schema`: what is there, and the way to a plugin of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.e2e.agent import environment, shipper

KINDS = ("input", "filter", "output", "codec")


def test_list_names_what_is_there() -> None:
    """A line for each type, the same as JSON; all of the first release are among them."""
    rows = json.loads(shipper("plugins", "list", "--json").stdout)
    assert all(set(row) == {"kind", "type", "from", "about"} for row in rows)
    assert all(row["about"] and not row["about"].startswith("cannot") for row in rows)
    found = {kind: {row["type"] for row in rows if row["kind"] == kind} for kind in KINDS}
    assert found["input"] >= {"file", "stdin", "syslog", "http"}
    assert found["filter"] >= {
        "parse",
        "enrich",
        "redact",
        "keep",
        "drop",
        "set",
        "rename",
        "remove",
        "sample",
        "throttle",
    }
    assert found["filter"] >= {"dedupe", "python"}
    assert found["output"] >= {"file", "stdout", "http", "elasticsearch", "loki", "blackhole"}
    assert found["codec"] >= {"ndjson", "json", "text", "logfmt", "csv", "cri", "docker"}
    text = shipper("plugins", "list").stdout.splitlines()
    assert [line.split()[:2] for line in text] == [[row["kind"], row["type"]] for row in rows]


def test_show_is_a_page_with_every_option() -> None:
    """Each option with type and default; a name that several kinds have shows all, or one with --kind."""
    page = shipper("plugins", "show", "elasticsearch").stdout
    for word in ("# output `elasticsearch`", "`endpoints`", "`index`", "`compression`", "gzip"):
        assert word in page
    both = shipper("plugins", "show", "file").stdout
    assert "# input `file`" in both
    assert "# output `file`" in both
    assert "# output" not in shipper("plugins", "show", "file", "--kind", "input").stdout


def test_show_of_what_is_not_there_suggests() -> None:
    """Status 2 and the nearest name."""
    done = shipper("plugins", "show", "elasticsaerch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'elasticsearch'?" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_new_is_ready_to_edit(kind: str, tmp_path: Path) -> None:
    """In a fresh folder, without a configuration: the plugin's own test passes, list, show and schema know it, and it works."""
    done = shipper("plugins", "new", kind, "my_own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["plugins/my_own.py", "plugins/test_my_own.py"]
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "plugins"]
    tested = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " passed" in tested.stdout
    assert "warning" not in tested.stdout
    rows = json.loads(shipper("plugins", "list", "--json", cwd=tmp_path).stdout)
    mine = next(row for row in rows if row["type"] == "my_own")
    assert (mine["kind"], mine["from"]) == (kind, "plugins/my_own.py")
    assert f"{kind} `my_own`" in shipper("plugins", "show", "my_own", cwd=tmp_path).stdout
    assert "my_own" in shipper("schema", "--plugins", tmp_path / "plugins").stdout

    again = shipper("plugins", "new", kind, "my_own", cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already; nothing was written" in again.stderr


def test_new_plugins_run_together(tmp_path: Path) -> None:
    """A filter, an output and a codec made by `plugins new` do their work in a pipeline of the real process."""
    for kind in KINDS:
        assert shipper("plugins", "new", kind, f"my_{kind}", "--dir", tmp_path / "mine").returncode == 0
    (tmp_path / "app.log").write_text("level=warn;message=one\nlevel=info;message=two\n")
    (tmp_path / "shipper.yaml").write_text("""
data_dir: ./data
plugins: [./mine]
inputs: {app: {type: file, include: [./app.log], codec: my_codec}}
filters: {up: {type: my_filter, field: level}}
outputs: {mine: {type: my_output, path: ./lines}, file: {type: file, path: ./out, codec: ndjson}}
""")
    done = shipper("run", "--once", "-c", tmp_path / "shipper.yaml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lines").read_text() == "one\ntwo\n"
    assert [json.loads(line)["level"] for line in (tmp_path / "out").read_text().splitlines()] == ["WARN", "INFO"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("filter", "drop"), "there is a built-in filter 'drop' already"),
        (("filter", "9lives"), "expected lower-case letters"),
        (("filter", "test_x"), "expected lower-case letters"),
        (("filter", "class"), "expected lower-case letters"),
        (("filter", "../x"), "expected lower-case letters"),
        (("thing", "x"), "'thing' is not one of"),
        (("filter", "geo", "--dir", "a_file"), "a_file: cannot be written"),
    ],
)
def test_new_refuses_with_a_sentence(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Status 2, why, and nothing written."""
    (tmp_path / "a_file").write_text("x")
    done = shipper("plugins", "new", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


def test_schema_accepts_what_validate_accepts(tmp_path: Path) -> None:
    """The schema is one, takes the configuration that comes along and refuses a bad one."""
    import yaml

    done = shipper("schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    root = Path(__file__).parents[2]
    validator.validate(yaml.safe_load((root / "shipper.yaml").read_text()))
    bad = yaml.safe_load((root / "tests/golden/config/fifteen_mistakes.yaml").read_text())
    assert len(list(validator.iter_errors(bad))) >= 3

"""`shipper plan`: what a reload would do."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.agent import Agent, shipper

BASE = """
data_dir: ./data
api: {listen: 127.0.0.1:0}
inputs:
  app: {type: file, include: [./app.log]}
  web: {type: http, listen: 127.0.0.1:0}
filters: {parse: {type: parse, format: json}, mark: {type: set, fields: {mark: one}}}
outputs:
  es: {type: http, url: "http://127.0.0.1:9/", auth: {type: bearer, token: s3cr3t-canary}}
  out: {type: file, path: ./out.ndjson}
"""


def planned(path: Path, text: str) -> dict[str, str]:
    new = path / "new.yaml"
    new.write_text(text)
    done = shipper("plan", "--json", "-c", new, cwd=path)
    assert done.returncode == 0, done.stderr
    return {f"{change['kind']} {change['name']}": change["action"] for change in json.loads(done.stdout)}


def test_says_what_each_change_does(tmp_path: Path) -> None:
    """Beside the running agent and after it; nothing that is secret is left in the file it reads."""
    (tmp_path / "new.yaml").write_text(BASE)
    done = shipper("plan", "-c", tmp_path / "new.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "nothing has run" in done.stderr
    with Agent(BASE, tmp_path) as agent:
        same = planned(tmp_path, BASE)
        assert set(same.values()) == {"keeps"}
        assert set(same) == {"input app", "input web", "filter parse", "filter mark", "output es", "output out"}
        other = BASE.replace("./app.log", "./*.log").replace("mark: one", "mark: two").replace("9/", "10/")
        other = other.replace("  out: {type: file, path: ./out", "  more: {type: file, path: ./more")
        found = planned(tmp_path, other.replace("shipper-data", "x"))
        assert found == {
            "input app": "restarts",
            "input web": "keeps",
            "filter parse": "keeps",
            "filter mark": "restarts",
            "pipeline main": "restarts",
            "output es": "takes over",
            "output more": "starts",
            "output out": "stops",
        }
        shape = planned(tmp_path, BASE.replace('"http://127.0.0.1:9/"', '"http://127.0.0.1:9/", codec: json'))
        assert shape["output es"] == "replaces"
        refused = planned(tmp_path, BASE.replace("127.0.0.1:0}\ninputs", "127.0.0.1:1}\ninputs"))
        assert refused["option api.listen"] == "refused"
        assert agent.stop() == 0
    text = shipper("plan", "-c", tmp_path / "new.yaml", cwd=tmp_path).stdout
    assert "! option api.listen: was 127.0.0.1:0, would be 127.0.0.1:1: the reload is refused" in text
    saved = (tmp_path / "data" / "running.json").read_text()
    assert "canary" not in saved
    assert (tmp_path / "data" / "running.json").stat().st_mode & 0o777 == 0o600

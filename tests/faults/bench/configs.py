"""Configurations that many scenarios share: one file in, one destination out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

QUICK = {"wait": "100ms"}


def log_to(server: Any, options: dict[str, Any] | None = None, **delivery: Any) -> dict[str, Any]:
    """From one file, `app.log` beside the configuration, to plain HTTP. `server` is whatever has a `url`."""
    return logs_to({"out": http(server, options, **delivery)})


def bulk_to(server: Any, options: dict[str, Any] | None = None, **delivery: Any) -> dict[str, Any]:
    """The same to Elasticsearch."""
    about = {"type": "elasticsearch", "endpoints": [server.url], "index": "app", **(options or {})}
    return logs_to({"out": {**about, "delivery": {"batch": QUICK, **delivery}}})


def http(server: Any, options: dict[str, Any] | None = None, **delivery: Any) -> dict[str, Any]:
    """An output of the type `http` alone."""
    return {"type": "http", "url": server.url, **(options or {}), "delivery": {"batch": QUICK, **delivery}}


def file_and_web(log: Path, port: int) -> dict[str, Any]:
    """Inputs alone: the file `log`, and clients at `port`."""
    return {
        "app": {"type": "file", "include": [str(log)], "poll_interval": "100ms"},
        "web": {"type": "http", "listen": f"127.0.0.1:{port}"},
    }


def logs_to(outputs: dict[str, Any]) -> dict[str, Any]:
    """From `app.log` to each of these."""
    return {
        "data_dir": "./data",
        "inputs": {"app": {"type": "file", "include": ["./app.log"], "poll_interval": "50ms"}},
        "outputs": outputs,
    }

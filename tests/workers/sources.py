"""Files that two workers read."""

from __future__ import annotations

import json
from pathlib import Path

SOURCES = 8


def append(folder: Path, ids: range) -> None:
    """Each id goes to each of the files, so that both workers have work."""
    (folder / "in").mkdir(exist_ok=True)
    for source in range(SOURCES):
        with (folder / "in" / f"a{source}.log").open("a") as file:
            file.writelines(json.dumps({"source": source, "id": n}) + "\n" for n in ids)

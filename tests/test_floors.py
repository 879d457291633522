"""The house rules that a machine can check: imports go down only, files stay small, names stay out of the core."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "shipper"
FILES = sorted(HOUSE.rglob("*.py"))
PLUGIN_ROOMS = {"inputs", "filters", "outputs", "codecs"}

WORDS = {"batch", "errors", "options", "clock", "share"}
CONTRACT = {"text", "component", "policy"}
TOOLS = {"files", "net"}
CORE = {"registry", "config", "delivery", "pipeline"}
DOORS = {"api", "cli", "workers", "__main__"}
PUBLIC = {""}  # `from shipper import ...`

MAY_IMPORT = {
    **dict.fromkeys(WORDS, WORDS),
    "text": WORDS | {"text"},
    "policy": WORDS | {"policy"},
    "component": WORDS | CONTRACT,
    "": WORDS | CONTRACT,
    **dict.fromkeys(TOOLS, WORDS | CONTRACT | TOOLS),
    **dict.fromkeys(PLUGIN_ROOMS, WORDS | CONTRACT | TOOLS | PUBLIC),
    **dict.fromkeys(CORE, WORDS | CONTRACT | CORE),
    **dict.fromkeys(DOORS, WORDS | CONTRACT | TOOLS | CORE | DOORS | PUBLIC),
    "testing": WORDS | CONTRACT | TOOLS | CORE | DOORS | PUBLIC | PLUGIN_ROOMS | {"testing"},
}


def room(module: str) -> str:
    """`shipper.text.paths` is in the room `text`; `shipper` itself is the room without a name."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(file: Path) -> list[tuple[int, str]]:
    """Every module of ours that a file imports, wherever in it, with its line."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            base = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "shipper" else []
            whole = [
                name
                for name in base
                if (HOUSE / name.split(".")[1]).exists() or (HOUSE / f"{name.split('.')[1]}.py").exists()
            ]
            found += [(node.lineno, name) for name in whole or [node.module]]
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append((node.lineno, "relative import"))
    return [(line, name) for line, name in found if name.split(".")[0] in ("shipper", "relative import")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOUSE)))
def test_imports_go_down_only(file: Path) -> None:
    """A room imports the rooms below it and none above; plugins never import plugins or the core."""
    module = ".".join(["shipper", *file.relative_to(HOUSE).with_suffix("").parts]).removesuffix(".__init__")
    here = room(module)
    for line, name in imports(file):
        assert name != "relative import", f"{file}:{line}: imports are absolute"
        there = room(name)
        own = here in MAY_IMPORT[here] if here in CORE | DOORS | TOOLS | {"text", "testing"} else False
        same_room = there == here and (own or name == module)
        assert same_room or there in MAY_IMPORT[here], f"{file}:{line}: {here or 'shipper'} imports {name}"


def test_the_words_need_only_the_standard_library_and_msgspec() -> None:
    """The words are spoken everywhere, so they may cost nothing."""
    import sys

    for name in WORDS:
        for node in ast.walk(ast.parse((HOUSE / f"{name}.py").read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for module in modules:
                top = module.split(".")[0]
                assert top in {"shipper", "msgspec"} or top in sys.stdlib_module_names, f"{name}.py imports {module}"


def test_the_core_names_no_plugin() -> None:
    """The core knows kinds, never names."""
    types = {file.stem for kind in PLUGIN_ROOMS for file in (HOUSE / kind).glob("*.py")} - {"__init__"}
    telling = types - {
        "file",
        "http",
        "json",
        "text",
        "set",
        "keep",
        "drop",
        "remove",
        "python",
        "sample",
        "parse",
        "rename",
    }
    for place in ("delivery", "pipeline", "config"):
        for file in (HOUSE / place).rglob("*.py"):
            strings = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
            assert not strings & telling, f"{file} names {strings & telling}"


def test_files_stay_small() -> None:
    """Median about 120 lines, nine in ten under 250, none over 400."""
    sizes = sorted(len(file.read_text().splitlines()) for file in FILES if file.name != "__init__.py")
    too_long = [str(file) for file in FILES if len(file.read_text().splitlines()) > 400]
    assert not too_long
    assert statistics.median(sizes) <= 150
    assert sizes[len(sizes) * 9 // 10] <= 280


def test_every_plugin_has_its_test() -> None:
    """One plugin, one file, one name; its test mirrors it."""
    for kind in PLUGIN_ROOMS - {"codecs"}:
        for file in (HOUSE / kind).glob("*.py"):
            if file.name != "__init__.py":
                assert (ROOT / "tests" / kind / f"test_{file.name}").exists(), f"{file} has no test of its name"
    # codecs answer the same questions, so their tests take them all as parameters
    tested = "".join(file.read_text() for file in (ROOT / "tests/codecs").glob("test_*.py"))
    for file in (HOUSE / "codecs").glob("[a-z]*.py"):
        assert f"shipper.codecs.{file.stem} " in tested, f"{file} is in no test"


FORBIDDEN = {
    r"\bpickle\b": "no pickle",
    r"(?<![.\w])eval\(": "no eval",
    r"(?<![.\w])exec\(": "no exec of data",
    r"shell=True": "no shell",
    r"yaml\.load\(": "only safe YAML",
    r"verify=False|CERT_NONE": "TLS is verified unless an insecure_ option says otherwise",
    r"extractall\(": "no archives unpacked",
    r"mktemp\(": "no racy temporary names",
    r"except Exception:\s*pass": "no swallowed exception",
}
ALLOWED = {
    ("text/compiler.py", r"(?<![.\w])eval\("),
    ("net/tls.py", r"verify=False|CERT_NONE"),
    ("filters/python.py", r"(?<![.\w])exec\("),
}


def test_what_never_stands_in_the_source() -> None:
    """Nothing runs code out of data, nothing turns verification off by the way."""
    for file in FILES:
        text = file.read_text()
        for pattern, rule in FORBIDDEN.items():
            if (str(file.relative_to(HOUSE)), pattern) not in ALLOWED:
                assert not re.search(pattern, text), f"{file}: {rule}"

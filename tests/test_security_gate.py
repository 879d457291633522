"""What never stands in the source: code made of data, shells, unverified TLS, secrets compared by `==`, open defaults.

Read with `ast`, so that a comment is no offence and a line break no way around. What is allowed is named with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "shipper"
FILES = sorted(HOUSE.rglob("*.py"))

CODE = {"eval", "exec", "compile", "__import__"}
MODULES = {
    "pickle", "_pickle", "cPickle", "dill", "marshal", "shelve", "subprocess", "pty", "popen2", "commands", "code",
    "codeop", "xml", "tarfile", "zipfile", "telnetlib", "jsonpickle",
}  # fmt: skip
CALLS = {
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all",
    "os.system", "os.popen", "os.startfile", "tempfile.mktemp", "ssl._create_unverified_context",
    "asyncio.create_subprocess_shell", "asyncio.create_subprocess_exec",
}  # fmt: skip
METHODS = {"extractall", "mktemp"}
LOADERS = {
    "yaml.Loader",
    "yaml.FullLoader",
    "yaml.UnsafeLoader",
    "yaml.CLoader",
    "yaml.CFullLoader",
    "yaml.CUnsafeLoader",
}
OFF = {"verify", "verify_ssl", "ssl", "check_hostname", "verify_hostname", "trust_env"}
ANY = {"0.0.0.0", "::", "[::]"}

ALLOWED = {
    ("text/compiler.py", "compile"): "conditions of the configuration, from a checked tree of our own making",
    ("text/formats/rows.py", "compile"): "names of the configuration, as literals and nothing else",
    ("filters/python.py", "exec"): "the user's own file, which the configuration names",
    ("filters/python.py", "compile"): "the user's own file, which the configuration names",
    ("net/tls.py", "check_hostname = False"): "below `if self.insecure_skip_verify`",
    ("net/tls.py", "CERT_NONE"): "below `if self.insecure_skip_verify`",
    ("cli/checks/certificates.py", "check_hostname = False"): "a handshake with ourselves, in memory",
    ("text/identifiers.py", "the address ::"): "the grammar of IPv6, for `redact`",
    ("net/session.py", "trust_env = False"): "here False is the safe word: no proxies and passwords of the environment",
}


def dotted(node: ast.AST) -> str:
    """`os.path.join` as it is written; empty for what is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = dotted(node.value)
        return f"{front}.{node.attr}" if front else ""
    return ""


def false(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def reveals(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == "reveal" for each in ast.walk(node))


def offences(source: str) -> Iterator[tuple[int, str]]:
    """Lines and what is wrong there."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((line, name) for name in names if name.split(".")[0] in MODULES)
            if isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{each.name}" for each in node.names]
                yield from ((line, name) for name in whole if name in CALLS | LOADERS)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in CODE | CALLS or name.startswith(("os.exec", "os.spawn")):
                yield line, name
            if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and name not in CALLS:
                yield line, node.func.attr
            for word in node.keywords:
                if word.arg == "shell" and not false(word.value):
                    yield line, "shell"
                elif word.arg in OFF and false(word.value):
                    yield line, f"{word.arg} = False"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr in OFF and false(node.value):
                    yield line, f"{target.attr} = False"
        elif isinstance(node, ast.Attribute):
            if node.attr == "CERT_NONE" or dotted(node) in LOADERS:
                yield line, node.attr if node.attr == "CERT_NONE" else dotted(node)
        elif isinstance(node, ast.Compare):
            equal = any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
            if equal and any(reveals(each) for each in (node.left, *node.comparators)):
                yield line, "a secret compared by =="
        elif isinstance(node, ast.Constant) and node.value in ANY and isinstance(node.value, str):
            yield line, f"the address {node.value}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOUSE)))
def test_nothing_dangerous_stands_in_the_source(file: Path) -> None:
    """Hits are 0, but for those that are named above with their reason."""
    name = str(file.relative_to(HOUSE))
    found = [(line, what) for line, what in offences(file.read_text()) if (name, what) not in ALLOWED]
    assert not found, "\n".join(f"{file}:{line}: {what}" for line, what in found)


def test_what_is_allowed_is_still_there() -> None:
    """An exception that nobody needs any more would let the next one through."""
    there = {(str(file.relative_to(HOUSE)), what) for file in FILES for _, what in offences(file.read_text())}
    assert set(ALLOWED) == there


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import xml.etree.ElementTree as e", "import subprocess",
        "eval(x)", "exec(x)", "__import__(x)", "yaml.load(x)", "yaml.load(x, Loader=yaml.Loader)", "from yaml import load",
        "os.system(x)", "os.execv(a, b)", "os.spawnl(x)", "run(x, shell=True)", "run(x, shell=yes)", "tempfile.mktemp()",
        "archive.extractall(x)", "get(x, verify=False)", "connect(x, ssl=False)", "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE", "token.reveal() == given", "given != self.token.reveal().encode()",
        "listen = '0.0.0.0'", "serve('::', 1)", "ssl._create_unverified_context()",
    ],
)  # fmt: skip
def test_the_gate_sees(source: str) -> None:
    """Each offence is found; without this the gate could be open and nobody would know."""
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    ["yaml.safe_load(x)", "re.compile(x)", "'eval(x)'", "ast.literal_eval(x)", "hmac.compare_digest(a.reveal(), b)",
     "len(key.reveal()) < 16", "get(x, verify=True)", "a == b"],
)  # fmt: skip
def test_the_gate_lets_through(source: str) -> None:
    """What only looks like one is none."""
    assert not list(offences(source))

"""Ways to build a server, each from one package registry through its own client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.servers.installing import program, step
from tests.servers.model import Problem

Build = Callable[[Path], None]

GO = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=mod -trimpath -buildvcs=false"}


def go(programs: dict[str, str], module: str) -> Build:
    """Build programs (name -> package) of a module that `go install` refuses because it has replaces.

    A wrapper module requires it and repeats those of its replaces that are not local folders.
    """

    def build(home: Path) -> None:
        (home / "go.mod").write_text(f"module servers\n\ngo 1.26.0\n\nrequire {module.replace('@', ' ')}\n")
        origin = json.loads(step("go", "mod", "download", "-json", module, cwd=home, **GO))["GoMod"]
        for replace in json.loads(step("go", "mod", "edit", "-json", origin, cwd=home)).get("Replace") or []:
            old, new = replace["Old"]["Path"], replace["New"]
            if "Version" in new:
                step("go", "mod", "edit", f"-replace={old}={new['Path']}@{new['Version']}", cwd=home)
        for output, package in programs.items():
            step("go", "build", "-ldflags", "-s -w", "-o", output, package, cwd=home, **GO)

    return build


def maven(*artifacts: str) -> Build:
    """Download artifacts (`group:name:version`) and all they need into lib/, checksums enforced; compile our own."""
    tags = "<groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>"
    copy = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"

    def build(home: Path) -> None:
        needs = "".join(f"<dependency>{tags.format(*artifact.split(':'))}</dependency>" for artifact in artifacts)
        own = "<modelVersion>4.0.0</modelVersion>" + tags.format("own", "own", 1)
        (home / "pom.xml").write_text(f"<project>{own}<dependencies>{needs}</dependencies></project>")
        step("mvn", "-q", "-B", "-C", copy, "-DoutputDirectory=lib", cwd=home)
        for source in home.glob("*.java"):
            step("javac", "-cp", "lib/*", source, cwd=home)

    return build


def collector(version: str, receivers: dict[str, str], exporters: dict[str, str]) -> Build:
    """The OpenTelemetry Collector from these parts (root module -> names), made by its own builder."""

    def build(home: Path) -> None:
        parts = {"receiver": receivers, "exporter": exporters}
        modules = {
            f"{kind}s": [
                {"gomod": f"{root}/{kind}/{name}{kind} {version}"}
                for root, names in roots.items()
                for name in names.split()
            ]
            for kind, roots in parts.items()
        }
        dist = {"name": "otelcol", "module": "servers", "output_path": "./src"}
        (home / "builder.yaml").write_text(json.dumps({"dist": dist, **modules}))  # JSON is YAML
        step("go", "install", f"go.opentelemetry.io/collector/cmd/builder@{version}", cwd=home, **GO, GOBIN=str(home))
        step(home / "builder", "--config", "builder.yaml", cwd=home, **GO)

    return build


def debian(package: str, executable: str) -> Build:
    """A package of the system: only looked for, because installing it takes root."""

    def build(home: Path) -> None:
        if program(executable) is None:
            raise Problem(f"{executable} is not installed: apt-get install --no-install-recommends {package}")

    return build

"""Which path answers what, and to whom."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Awaitable
from pathlib import Path

from shipper.api.metrics import page
from shipper.api.server import Answer, Request, Server
from shipper.api.status import Status, not_ready
from shipper.config.model import ApiOptions, Config
from shipper.net.auth import Bearer, accepts
from shipper.pipeline.observe import log
from shipper.pipeline.runner import Runner

OPEN = ("/livez", "/readyz", "/metrics")
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Pages:
    """What one process says of itself."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.status = Status(runner)

    def __call__(self, path: str) -> Answer:
        if path == "/livez":
            return Answer(200, "ok\n")
        if path == "/readyz":
            reasons = not_ready(self.runner)
            return Answer(503, "\n".join(reasons) + "\n") if reasons else Answer(200, "ok\n")
        if path == "/metrics":
            return Answer(200, page(self.runner), PROMETHEUS)
        if path == "/status":
            return Answer(200, json.dumps(self.status(), indent=2) + "\n", "application/json")
        return other(path)


def other(path: str) -> Answer:
    """What there is no page for."""
    if path == "/":
        return Answer(200, "shipper: /livez /readyz /metrics /status\n")
    return Answer(404, "there are /livez, /readyz, /metrics and /status\n")


class Admin:
    """The endpoint: loopback unless told; beyond it only health and metrics go without the token."""

    def __init__(self, options: ApiOptions, data_dir: Path) -> None:
        host, _, port = str(options.listen).rpartition(":")
        self.options = options
        self.file = data_dir / "api"
        self.host = host.strip("[]") or "127.0.0.1"
        self.server = Server(self.host, int(port), self.handle)

    async def start(self) -> None:
        await self.server.start()
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)
        handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, f"{self.server.address}\n".encode())
        finally:
            os.close(handle)
        log.info("metrics, health and status at %s", self.server.address)

    def changed(self, config: Config) -> None:
        """After a reload: the address stays, the token may be another."""
        if config.settings.api is not None:
            self.options = config.settings.api

    async def stop(self) -> None:
        await self.server.stop()
        # the folder is free by now: what stands there may be another process's address
        if self.file.exists() and self.file.read_text() == self.server.address + "\n":
            self.file.unlink(missing_ok=True)

    def page(self, path: str) -> Answer | Awaitable[Answer]:
        """What a path answers to who may ask."""
        raise NotImplementedError

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        if not self._host_is_ours(request):
            return Answer(403, "this Host is not served\n")
        refusal = None if request.path in OPEN else self._refusal(request)
        return refusal or self.page(request.path)

    def _refusal(self, request: Request) -> Answer | None:
        token = self.options.token
        if token is None:
            return None if is_loopback(self.host) else Answer(403, "beyond loopback this needs api.token\n")
        if accepts(Bearer(token=token), request.headers.get("authorization")):
            return None
        return Answer(401, "this needs the api.token as a bearer token\n", headers={"WWW-Authenticate": "Bearer"})

    def _host_is_ours(self, request: Request) -> bool:
        """On loopback only loopback names are served, so that no web page can reach it by a name of its own."""
        if not is_loopback(self.host):
            return True
        host = request.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
        return is_loopback(name.strip("[]"))


class Api(Admin):
    """Of one process."""

    def __init__(self, options: ApiOptions, runner: Runner, data_dir: Path) -> None:
        super().__init__(options, data_dir)
        self.pages = Pages(runner)

    def page(self, path: str) -> Answer:
        return self.pages(path)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

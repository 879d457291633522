"""Which path answers what, and to whom."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path

from shipper.api.metrics import page
from shipper.api.server import Answer, Request, Server
from shipper.api.status import Status, not_ready
from shipper.config.model import ApiOptions, Config
from shipper.net.auth import Bearer, accepts
from shipper.pipeline.observe import log
from shipper.pipeline.runner import Runner


class Api:
    """The admin endpoint: loopback unless told; beyond it only health and metrics go without the token."""

    def __init__(self, options: ApiOptions, runner: Runner, data_dir: Path) -> None:
        host, _, port = str(options.listen).rpartition(":")
        self.options = options
        self.runner = runner
        self.file = data_dir / "api"
        self.host = host.strip("[]") or "127.0.0.1"
        self.status = Status(runner)
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

    def handle(self, request: Request) -> Answer:
        if not self._host_is_ours(request):
            return Answer(403, "this Host is not served\n")
        if request.path == "/livez":
            return Answer(200, "ok\n")
        if request.path == "/readyz":
            reasons = not_ready(self.runner)
            return Answer(503, "\n".join(reasons) + "\n") if reasons else Answer(200, "ok\n")
        if request.path == "/metrics":
            return Answer(200, page(self.runner), "text/plain; version=0.0.4; charset=utf-8")
        return self._refusal(request) or self._known(request)

    def _known(self, request: Request) -> Answer:
        """What only those may see who are on this machine or have the token."""
        if request.path == "/status":
            return Answer(200, json.dumps(self.status(), indent=2) + "\n", "application/json")
        if request.path == "/":
            return Answer(200, "shipper: /livez /readyz /metrics /status\n")
        return Answer(404, "there are /livez, /readyz, /metrics and /status\n")

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


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

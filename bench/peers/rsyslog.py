"""rsyslog (written for 8.2302, with what its own package holds): its configuration for a scenario, in RainerScript.

It is stopped by SIGTERM once everything is out: it has no end of its own. Like ours, it does not wait for the disk.
One thread takes from its queue: with more, lines change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.agents import Cannot, Job
from bench.scenarios import Route, Where

NO_PARSE = {
    "regex": "its rule base finds the fields, but nothing turns the time into RFC 3339",
    "redact": "no module of it replaces text by a pattern",
    "cri": "no module of it joins the parts of a CRI line",
}
NO_WRITE = {
    "nothing": "it does not count what it throws away",
    "http": "omhttp is a package of its own that few distributions have",
    "es": "omelasticsearch is a package of its own, not tried here",
    "loki": "it has no output for Loki",
}
NOTES = (
    "rsyslog's queue is in memory, as by default: a crash loses what is in it. One thread takes from it, to keep the order.",
    "With structured data left as text (no mmpstrucdata) rsyslog takes about seven tenths of the CPU of its RFC 5424 row.",
)
MODULES = """
global(workDirectory="{folder}" maxMessageSize="1m")
main_queue(queue.workerThreads="1")
module(load="{module}"{options})
module(load="mmjsonparse")
module(load="mmpstrucdata")
template(name="json" type="list" option.jsonf="on") {{
{properties}
}}
template(name="whole" type="list") {{ property(name="$!all-json-plain") constant(value="\\n") }}
"""
FIELDS = {
    "raw": {
        "timestamp": ("timegenerated", 'dateFormat="rfc3339"'),
        "host": ("hostname", ""),
        "file": ("$!metadata!filename", ""),
        "message": ("msg", ""),
    },
    "syslog": {
        "timestamp": ("timereported", 'dateFormat="rfc3339"'),
        "host": ("hostname", ""),
        "app": ("app-name", ""),
        "pid": ("procid", ""),
        "msgid": ("msgid", ""),
        "facility": ("syslogfacility-text", ""),
        "severity": ("syslogseverity-text", ""),
        "structured_data": ("$!rfc5424-sd", ""),
        "peer": ("fromhost-ip", ""),
        "message": ("msg", ""),
    },
    "bsd": {
        "timestamp": ("timereported", 'dateFormat="rfc3339"'),
        "host": ("hostname", ""),
        "app": ("programname", ""),
        "pid": ("procid", ""),
        "facility": ("syslogfacility-text", ""),
        "severity": ("syslogseverity-text", ""),
        "peer": ("fromhost-ip", ""),
        "message": ("msg", 'position.from="2"'),  # it keeps the space before
    },
}
FIELDS["trace"] = FIELDS["raw"]
FIELDS["json"] = {}


def properties(parse: str) -> str:
    return "\n".join(
        f'property(outname="{field}" name="{name}" format="jsonf" {more})'
        for field, (name, more) in FIELDS[parse].items()
    )


def source(job: Job) -> tuple[str, str, str]:
    """The input's module, the module's options, the input itself."""
    feed = job.scenario.feed
    if feed == "file":
        more = r' startmsg.regex="^[0-9]{4}-" readTimeout="1" escapeLF="off"' if job.scenario.parse == "trace" else ""
        options = f'file="{job.source}" tag="in" addMetadata="on" persistStateInterval="1000"{more}'
        return "imfile", "", f'input(type="imfile" {options} ruleset="work")'
    if feed in ("tcp", "udp"):
        return f"im{feed}", "", f'input(type="im{feed}" address="127.0.0.1" port="{job.port}" ruleset="work")'
    raise Cannot("it has no HTTP input in its own package")


def condition(where: Where) -> str:
    value = f'"{where.value}"' if isinstance(where.value, str) else where.value
    return f"$!{where.field} {where.op} {value}"


def write(job: Job, route: Route) -> str:
    template = "whole" if job.scenario.parse == "json" else "json"
    action = f'action(type="omfile" file="{job.out(route)}" template="{template}")'
    return f"if {condition(route.where)} then {action}" if route.where else action


def work(job: Job) -> list[str]:
    """The rule set: parse, add, write."""
    steps = []
    if job.scenario.parse == "json":
        steps = [
            "set $.file = $!metadata!filename;",
            "unset $!metadata;",
            'action(type="mmjsonparse" cookie="")',
            "set $!host = $hostname;",
            "set $!file = $.file;",
        ]
    elif job.scenario.parse == "syslog":
        steps = ['action(type="mmpstrucdata")']
    return [*steps, *(write(job, route) for route in job.scenario.routes)]


@dataclass(frozen=True)
class Rsyslog:
    program: str
    name: str = "rsyslog"

    def command(self, job: Job) -> Sequence[str]:
        scenario, file = job.scenario, job.folder / "rsyslog.conf"
        if why := NO_PARSE.get(scenario.parse):
            raise Cannot(why)
        for route in scenario.routes:
            if why := NO_WRITE.get(route.to):
                raise Cannot(why)
        module, options, feed = source(job)
        head = MODULES.format(folder=job.folder, module=module, options=options, properties=properties(scenario.parse))
        rules = "\n".join(f"    {step}" for step in work(job))
        file.write_text(f'{head}ruleset(name="work") {{\n{rules}\n}}\n{feed}\n')
        return [self.program, "-n", "-f", str(file), "-i", str(job.folder / "pid")]

    def ends(self, job: Job) -> bool:
        return False

    def ready(self, job: Job) -> bool:
        return (job.folder / "pid").exists()

    def delivered(self, job: Job) -> int | None:
        return None

    def says(self, job: Job) -> dict[str, float]:
        return {}

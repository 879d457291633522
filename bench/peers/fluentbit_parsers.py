"""How Fluent Bit takes lines apart, and what it does in Lua because no filter of it can."""

from __future__ import annotations

import json
from typing import Any

from bench.floor_parse import FACILITIES, SEVERITIES

Options = dict[str, Any]

WORDS = r"(?<timestamp>[^ ]+) (?<host>[^ ]+) (?<app>[^ ]+) (?<pid>[^ ]+) (?<msgid>[^ ]+)"
PARSERS: dict[str, Options] = {
    "regex": {
        "format": "regex",
        "regex": r'^(?<remote_host>[^ ]+) [^ ]+ (?<user>[^ ]+) \[(?<timestamp>[^\]]*)\] "(?<method>[^ ]+) (?<path>[^ ]+) '
        r'(?<protocol>[^"]*)" (?<status>\d+) (?<bytes>[^ ]+) "(?<referer>[^"]*)" "(?<agent>[^"]*)"$',
        "time_key": "timestamp",
        "time_format": "%d/%b/%Y:%H:%M:%S %z",
        "types": "status:integer bytes:integer",
    },
    "json": {"format": "json"},
    "loki": {"format": "json", "time_key": "ts", "time_format": "%Y-%m-%dT%H:%M:%S.%L%z", "time_keep": True},
    "syslog": {
        "format": "regex",
        "regex": rf"^<(?<pri>\d{{1,3}})>1 {WORDS} (?<structured_data>-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?<message>.*))?$",
        "time_key": "timestamp",
        "time_format": "%Y-%m-%dT%H:%M:%S.%L%z",
        "time_keep": True,
    },
    "bsd": {
        "format": "regex",
        "regex": r"^<(?<pri>\d{1,3})>(?<timestamp>[A-Z][a-z][a-z] [ \d]\d [^ ]+) (?<host>[^ ]+) "
        r"(?<app>[^\[: ]+)(?:\[(?<pid>[^\]]+)\])?: (?<message>.*)$",
        "time_key": "timestamp",
        "time_format": "%b %d %H:%M:%S",
    },
    "cri_line": {
        "format": "regex",
        "regex": r"^(?<timestamp>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[FP]) (?<message>.*)$",
        "time_key": "timestamp",
        "time_format": "%Y-%m-%dT%H:%M:%S.%L%z",
    },
}
MULTILINE: dict[str, Options] = {
    "trace_event": {
        "type": "regex",
        "flush_timeout": 1000,
        "key_content": "message",
        "rules": [
            {"state": "start_state", "regex": r"/^\d{4}-/", "next_state": "cont"},
            {"state": "cont", "regex": r"/^(?!\d{4}-)/", "next_state": "cont"},
        ],
    },
    "cri_event": {
        "type": "equal",
        "match_string": "F",
        "flush_timeout": 4000,
        "key_content": "message",
        "key_pattern": "logtag",
        "key_group": "stream",
        "parser": "cri_line",
    },
}
# No filter of it replaces text by a pattern; Lua is what its documentation shows. Unchanged events are not packed again.
REDACT = """
local card = "%f[%w_]%d" .. ("[ -]?%d"):rep(15) .. "%f[^%w_]"
function redact(tag, timestamp, record)
    local message, mails, cards = record["msg"], 0, 0
    if message:find("@", 1, true) then
        message, mails = message:gsub("[%w_.+-]+@[%w_-]+%.[%w_.]+", "[email]")
    end
    message, cards = message:gsub(card, "[credit_card]")
    if mails + cards == 0 then return 0 end
    record["msg"] = message
    return 2, timestamp, record
end
"""
# Its parsers give the priority as a number; Lua makes the names of it that RFC 3164's row is checked for.
NAMES = """
local facilities = { FACILITIES }
local severities = { SEVERITIES }
function names(tag, timestamp, record)
    local priority = tonumber(record["pri"])
    record["pri"] = nil
    record["facility"] = facilities[math.floor(priority / 8) + 1]
    record["severity"] = severities[priority % 8 + 1]
    return 2, timestamp, record
end
""".replace("FACILITIES", json.dumps(FACILITIES)[1:-1]).replace("SEVERITIES", json.dumps(SEVERITIES)[1:-1])

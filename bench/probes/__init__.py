"""What is measured of one agent alone: start-up, idle, latency, many files, an outage, malformed lines, two workers."""

from __future__ import annotations

from bench.probe import Probe
from bench.probes.files import files
from bench.probes.idle import idle
from bench.probes.latency import latency
from bench.probes.malformed import malformed
from bench.probes.outage import outage
from bench.probes.start import start
from bench.probes.workers import workers

PROBES = [
    Probe("start", "process to ready: file to file, and with an HTTP output", start),
    Probe("idle", "100 quiet files followed: CPU and resident memory", idle),
    Probe("latency", "1,000 events/s, line written -> request received", latency),
    Probe("files", "10,000 files of which 50 are busy, against those 50 alone", files),
    Probe("malformed", "JSON and regex with 1 % malformed lines, against clean ones", malformed),
    Probe("outage", "the output answers 503 for a while, then the catch-up", outage),
    Probe("workers", "64 files: two workers against one, lines a second", workers),
]

"""Shipper: reads logs, parses, enriches and redacts them, and delivers them; it loses nothing, and proves it.

For authors of plugins this page is the API, all of it. The house, room by room:

- words: `batch` (what flows), `errors` (what happens next), `options` (how options are declared), `clock`, `share`
- contract: `component` (input, filter, output, codec), `policy` (delivery), `text/` (paths, templates, conditions, formats)
- tools for plugins: `files/` (tailing), `net/` (HTTP, listeners, TLS, authentication)
- plugins, one file each, named as the configuration names them: `inputs/ filters/ outputs/ codecs/`
- core, which knows kinds and never names: `registry`, `config/`, `delivery/`, `pipeline/`
- doors: `cli/` (one file a command), `api/` (health, metrics, status), `workers/` (several processes),
  `testing/` (drivers, checks and fakes for plugins)

Imports go down only; `tests/test_floors.py` holds them to it.
"""

from shipper.batch import Attrs, Batch, Event, Piece, Send, Window
from shipper.component import Codec, EventFilter, EventOutput, Filter, Input, Output
from shipper.errors import ConfigError, Partial, Refused, Rejected, TooLarge, Unavailable
from shipper.options import Duration, Group, Meta, Secret, Size, Url, option
from shipper.policy import BatchPolicy, BufferPolicy, Delivery, RetryPolicy
from shipper.text.conditions import Condition
from shipper.text.paths import FieldPath
from shipper.text.templates import Template

__all__ = [
    "Attrs", "Batch", "BatchPolicy", "BufferPolicy", "Codec", "Condition", "ConfigError", "Delivery", "Duration",
    "Event", "EventFilter", "EventOutput", "FieldPath", "Filter", "Group", "Input", "Meta", "Output", "Partial",
    "Piece", "Refused", "Rejected", "RetryPolicy", "Secret", "Send", "Size", "Template", "TooLarge", "Unavailable",
    "Url", "Window", "option",
]  # fmt: skip

__version__ = "0.1.0"

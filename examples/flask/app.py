"""A shop of one page in Flask, whose log lines carry the trace id of the request they belong to.

python app.py | shipper run -c shipper.yaml
curl 'http://127.0.0.1:8000/order?mail=ann@example.com'
"""

import json
import logging
import os
import re
import secrets
import sys
from datetime import UTC, datetime

from flask import Flask, g, has_request_context, request

TRACEPARENT = re.compile("00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context


class JsonLines(logging.Formatter):
    """One JSON object a line; a traceback is a field of it."""

    def format(self, record):
        event = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": "shop",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if has_request_context():
            event |= {"trace_id": g.trace_id, "method": request.method, "path": request.path}
        if record.exc_info:
            event["error"] = self.formatException(record.exc_info)
        return json.dumps(event)


handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(JsonLines())
logging.basicConfig(level=logging.INFO, handlers=[handler])
logging.getLogger("werkzeug").setLevel(logging.WARNING)

app = Flask(__name__)


@app.before_request
def begin():
    """The trace that the caller is in, or a new one."""
    caller = TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    g.trace_id = caller[1] if caller else secrets.token_hex(16)


@app.get("/order")
def order():
    app.logger.info("receipt sent to %s", request.args.get("mail", "nobody"))
    return {"ordered": True, "trace_id": g.trace_id}


@app.get("/broken")
def broken():
    raise RuntimeError("out of stock")


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "8000")))

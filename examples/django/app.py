"""A shop of one page in Django, whose log lines carry the trace id of the request they belong to.

python app.py runserver
curl 'http://127.0.0.1:8000/order?mail=ann@example.com'
"""

import json
import logging
import os
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path

LOG_DIR = Path(os.environ.get("LOG_DIR", Path(__file__).parent / "logs"))
TRACEPARENT = re.compile("00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
trace_id = ContextVar("trace_id", default=None)
log = logging.getLogger("shop")


class JsonLines(logging.Formatter):
    """One JSON object a line; a traceback is a field of it."""

    def format(self, record):
        event = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": "shop",
            "logger": record.name,
            "message": record.getMessage(),
            "trace_id": trace_id.get(),
        }
        if record.exc_info:
            event["error"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in event.items() if value is not None})


def tracing(get_response):
    """Middleware: the trace that the caller is in, or a new one."""

    def middleware(request):
        caller = TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        token = trace_id.set(caller[1] if caller else secrets.token_hex(16))
        try:
            return get_response(request)
        finally:
            trace_id.reset(token)

    return middleware


def order(request):
    log.info("receipt sent to %s", request.GET.get("mail", "nobody"))
    return JsonResponse({"ordered": True, "trace_id": trace_id.get()})


def broken(request):
    raise RuntimeError("out of stock")


urlpatterns = [path("order", order), path("broken", broken)]

LOG_DIR.mkdir(parents=True, exist_ok=True)
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.tracing"],
    SECRET_KEY=secrets.token_hex(),
    LOGGING={
        "version": 1,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {
            # opens the file anew when logrotate has moved it
            "file": {
                "class": "logging.handlers.WatchedFileHandler",
                "filename": LOG_DIR / "shop.log",
                "formatter": "json",
            },
        },
        "loggers": {"shop": {"level": "INFO"}, "django": {"handlers": [], "propagate": True}},
        "root": {"handlers": ["file"], "level": "WARNING"},
    },
)

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

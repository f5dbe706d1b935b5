"""Where the worker's own messages go: standard error, in the format that the parent asked for.

Only the logger `pinnace` is touched. How the application logs is the application's matter.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys

# Python has no level below DEBUG of its own.
LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the keys that Pinnace's other processes use."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Renders a record."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "service": self._service,
        }
        request_id = getattr(record, "request_id", None)
        if request_id is not None:
            line["request_id"] = request_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(log_format: str, service: str, level: str = "info") -> logging.Logger:
    """Prepares the logger `pinnace`."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter(service))
    else:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {service}: %(levelname)s: %(message)s"))
    logger = logging.getLogger("pinnace")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(LEVELS[level])
    return logger

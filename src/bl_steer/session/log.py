"""The log of a session in a file: a line of JSON for each message, with its run, point and device.

What the program logs, what Bluesky and Ophyd log, and the course of each run stand in one file in
the order in which they happened.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import Any

import numpy as np

__all__ = ["SessionLog"]

LOGGERS = ("bl_steer", "plans", "devices", "bluesky", "ophyd")
MAX_BYTES = 10_000_000
N_KEPT = 5
"""Files of this size that are kept beside the one that is written."""

logger = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """A record as a line of JSON: time (UTC), level, logger, message, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: _plain(value) for key, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class SessionLog:
    """Log to a file until it is closed; a callback that logs the course of each run too.

    Parameters
    ----------
    path : of the file; grown to 10 MB it is renamed to ``….1``, and five of these are kept

    Raises
    ------
    OSError
        When the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._handler = RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=N_KEPT, encoding="utf-8"
        )
        self._handler.setFormatter(JsonLines())
        self._levels = {name: logging.getLogger(name).level for name in LOGGERS}
        self._streams: dict[str, str] = {}
        self._now: dict[str, Any] = {}
        self._handler.addFilter(self._tag)
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self._handler)
            # With a handler of its own a logger writes warnings to the screen no more.
            if logging.lastResort is not None and not logging.getLogger().handlers:
                logging.getLogger(name).addHandler(logging.lastResort)
        logging.getLogger("bl_steer").setLevel(logging.INFO)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Log what a document tells of the course of its run."""
        if name == "start":
            self._streams = {}
            self._now = {"run": doc["uid"], "scan_id": doc.get("scan_id")}
            self._log("run begun", plan=doc.get("plan_name", ""))
        elif name == "descriptor":
            self._streams[doc["uid"]] = str(doc.get("name", ""))
        elif name == "event":
            stream = self._streams.get(doc["descriptor"], "")
            if stream == "decisions":
                self._now["point"] = doc["data"].get("point", doc["seq_num"] - 1)
                self._log("decision", **doc["data"])
            elif stream == "primary":
                if "point" in doc["data"]:  # of the several events of a rocking scan
                    self._now["point"] = doc["data"]["point"]
                self._log("measured", seq_num=doc["seq_num"])
            elif stream == "result":
                self._log("result", **doc["data"])
        elif name == "stop":
            reason = str(doc.get("reason") or "")
            self._log("run ended", status=doc["exit_status"], reason=reason)
            self._now = {}

    def _log(self, message: str, **fields: Any) -> None:
        logger.info(message, extra={"fields": fields})

    def _tag(self, record: logging.LogRecord) -> bool:
        """Say of a message in which run it was logged, and at which point."""
        record.fields = {**self._now, **getattr(record, "fields", {})}
        return True

    def close(self) -> None:
        """Let the loggers go, and close the file."""
        for name, level in self._levels.items():
            log = logging.getLogger(name)
            log.removeHandler(self._handler)
            if logging.lastResort is not None:
                log.removeHandler(logging.lastResort)
            log.setLevel(level)
        self._handler.close()


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; what is no number becomes null."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

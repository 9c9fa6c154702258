"""Numbers for Prometheus: requests since the start, and what the database holds at the moment."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord, Blob, Job, OutgoingMail, User, Worker

__all__ = ["CONTENT_TYPE", "RequestMetrics", "server_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LIMITS_S = (0.005, 0.02, 0.05, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)


class RequestMetrics:
    """Requests by route, method and status, and how long they took."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count = Counter(
            "bl_steer_requests", "Requests", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "bl_steer_request_seconds",
            "Duration",
            ["route"],
            buckets=LIMITS_S,
            registry=self.registry,
        )

    def add(self, record: AccessRecord, route: str) -> None:
        """Count a request."""
        self._count.labels(route, record.method, str(record.status)).inc()
        self._seconds.labels(route).observe(record.ms / 1000)


class _DatabaseMetrics:
    """What the database holds, counted when the metrics are read."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield a family for each noun."""
        jobs = GaugeMetricFamily("bl_steer_jobs", "Jobs by state", labels=["state"])
        mails = GaugeMetricFamily("bl_steer_mails", "Mails by state", labels=["state"])
        silence = GaugeMetricFamily(
            "bl_steer_workers_silent_seconds", "Since a worker was heard of; -1 if none ever was"
        )
        with self.database.read() as session:
            for family, state in ((jobs, Job.state), (mails, OutgoingMail.state)):
                for name, count in session.execute(select(state, func.count()).group_by(state)):
                    family.add_metric([name], count)
            seen = session.scalar(select(func.max(Worker.seen)))
            silence.add_metric([], -1.0 if seen is None else max(0.0, time.time() - seen))
            stored = session.scalar(select(func.sum(Blob.size)))
            users = session.scalar(
                select(func.count()).select_from(User).where(User.disabled.is_(None))
            )
        yield from (jobs, mails, silence)
        yield GaugeMetricFamily("bl_steer_stored_bytes", "Files, bytes", value=float(stored or 0))
        yield GaugeMetricFamily("bl_steer_users", "Open accounts", value=float(users or 0))


def server_metrics(requests: RequestMetrics, database: Database) -> bytes:
    """Return all metrics in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(_DatabaseMetrics(database))
    return generate_latest(requests.registry) + generate_latest(registry)

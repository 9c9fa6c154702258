"""Numbers for Prometheus: requests since the start, and what the database holds at the moment."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord, Blob, Job, OutgoingMail, User, Worker
from bl_steer.server.jobs.leases import OPEN

__all__ = ["CONTENT_TYPE", "RequestMetrics", "server_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DAY_S = 86_400.0
ENDED = ("done", "failed", "cancelled")
UNSENT = ("waiting", "sending", "failed")
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
    """What the database holds when the metrics are read; rows of its whole age are not counted.

    How many jobs ended is a counter that workers keep, so that Prometheus tells rates of any time.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each noun."""
        now = time.time()
        jobs = GaugeMetricFamily("bl_steer_jobs", "Jobs that wait or run", labels=["state"])
        mails = GaugeMetricFamily("bl_steer_mails", "Mails not sent, by state", labels=["state"])
        day = GaugeMetricFamily(
            "bl_steer_jobs_last_day", "Jobs that ended within 24 hours", labels=["state"]
        )
        with self.database.read() as session:
            for state in OPEN:
                jobs.add_metric([state], count_of(session, Job.state == state))
            for state in ENDED:
                recent = (Job.state == state, Job.finished > now - DAY_S)
                day.add_metric([state], count_of(session, *recent))
            for state in UNSENT:
                mails.add_metric([state], count_of(session, OutgoingMail.state == state))
            seen = session.scalar(select(func.max(Worker.seen)))
            ended = session.scalar(select(func.sum(Worker.jobs_done)))
            oldest = session.scalar(select(func.min(Job.created)).where(Job.state == "queued"))
            stored = session.scalar(select(func.sum(Blob.size)))
            users = count_of(session, User.disabled.is_(None))
        yield from (jobs, day, mails)
        for name, text, value in (
            (
                "bl_steer_workers_silent_seconds",
                "Since a worker was heard of; -1 if none ever was",
                -1.0 if seen is None else max(0.0, now - seen),
            ),
            (
                "bl_steer_oldest_job_waits_seconds",
                "How long the job that waits longest has waited; 0 if none waits",
                0.0 if oldest is None else max(0.0, now - oldest),
            ),
            ("bl_steer_stored_bytes", "Files, bytes", float(stored or 0)),
            ("bl_steer_users", "Open accounts", float(users)),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        yield CounterMetricFamily(
            "bl_steer_jobs_ended", "Jobs that workers brought to an end", value=float(ended or 0)
        )


def count_of(session: Session, first: ColumnElement[bool], *others: ColumnElement[bool]) -> int:
    """Return how many rows fulfil all conditions."""
    return session.scalar(select(func.count()).where(first, *others)) or 0


def server_metrics(requests: RequestMetrics, database: Database) -> bytes:
    """Return all metrics in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(_DatabaseMetrics(database))
    return generate_latest(requests.registry) + generate_latest(registry)

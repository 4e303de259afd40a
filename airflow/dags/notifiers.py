"""Tells people how tasks and DAG runs ended, through the lakehouse's own alerts. Defines no DAG."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier, conf


class PeopleNotifier(BaseNotifier):
    """Looks for alerts and sends what is new or over; a task that failed before the ledger knew is one too.

    Args:
        is_failure: whether what it is called for failed.
    """

    def __init__(self, *, is_failure: bool) -> None:
        super().__init__()
        self.is_failure = is_failure

    def notify(self, context: Any) -> None:
        """Tell of the task or run a callback is for; what cannot be told now is told by ``send_alerts``."""
        from catalog import jobs

        dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
        failed = _reason(context) if self.is_failure else None
        base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
        jobs.tell_of_dag(dag_id, run_id, failed, f"{base}/dags/{dag_id}/runs/{quote(run_id)}")


def _reason(context: Any) -> str:
    """What a callback knows of a failure: a task's its exception, a run's a word."""
    task = getattr(context.get("ti"), "task_id", None)
    exception = context.get("exception")
    what = f"{type(exception).__name__}: {exception}" if exception else str(context.get("reason") or "failed")
    return f"{task}: {what}" if task else what

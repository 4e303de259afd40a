"""What every task of the lakehouse shares: owner, tries, time, and how the ledger knows it. Defines no DAG."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context
from notifiers import PeopleNotifier

from catalog.origin import Origin

PORTAL_POOL, WAREHOUSE_POOL = "portal", "warehouse"  # made by pools.json
PERMANENT = "catalog.errors.PermanentError"

TASK_DEFAULTS: dict[str, Any] = {
    "owner": "lakehouse",
    "retries": 3,  # the first after Airflow's own default_task_retry_delay, 5 minutes as shipped
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=30),
    # The same call would fail again. What is no error of ours may be a database or a machine, and is tried again.
    "retry_policy": ExceptionRetryPolicy([RetryRule(PERMANENT, RetryAction.FAIL, reason="trying again cannot help")]),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": PeopleNotifier(is_failure=True),
}
DAG_DEFAULTS: dict[str, Any] = {
    # no start date: the first run is at the first time that comes, where one would have the last one that was missed
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "default_args": TASK_DEFAULTS,
    "on_failure_callback": PeopleNotifier(is_failure=True),
    "on_success_callback": PeopleNotifier(is_failure=False),
    "tags": ["lakehouse"],
}


def origin() -> Origin:
    """The running task, as the ledger names it."""
    ti = get_current_context()["ti"]
    index = -1 if ti.map_index is None else ti.map_index
    return Origin(ti.dag_id, ti.run_id, ti.task_id, index, ti.try_number, ti.max_tries, ti.log_url)


def logical_moment() -> datetime:
    """The moment a run stands for; of one without a logical date, when it was asked for."""
    run = get_current_context()["dag_run"]
    moment: datetime = run.logical_date or run.run_after
    return moment.astimezone(UTC)


def asked_day() -> date:
    """The extraction date a run is of: the day given by hand, else the logical date."""
    given = get_current_context()["params"].get("extraction_date")
    return date.fromisoformat(given) if given else logical_moment().date()

"""Looks once a week for datasets that no feed follows; makes feeds of them only where it is told to.

The terms are the run's parameters, over those of the Airflow variable ``discover_datasets``: a JSON object such as
``{"tag": "velo", "add": true}``. Without any, it tells of the newest datasets and adds nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, Variable, dag, get_current_context, task
from task_rules import DAG_DEFAULTS, PORTAL_POOL, origin

TERMS = ("query", "organization", "tag", "resource_format")
VARIABLE = "discover_datasets"


@dag(
    dag_id="discover_datasets",
    schedule=CronTriggerTimetable("0 5 * * 1", timezone="UTC"),
    params={
        **{term: Param(None, type=["null", "string"]) for term in TERMS},
        "limit": Param(None, type=["null", "integer"], minimum=1, description="most datasets; default 20"),
        "add": Param(None, type=["null", "boolean"], description="make each a feed of the lake"),
    },
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def discover_datasets() -> None:
    @task(pool=PORTAL_POOL)
    def find_datasets() -> dict[str, Any]:
        from ingestion import jobs

        given = {name: value for name, value in get_current_context()["params"].items() if value is not None}
        terms = {"limit": 20, **Variable.get(VARIABLE, default={}, deserialize_json=True), **given}
        return jobs.discover_datasets(**terms, origin=origin())

    find_datasets()


discover_datasets()

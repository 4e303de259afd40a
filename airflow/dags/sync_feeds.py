"""Takes each feed from the portal into bronze when its own schedule strikes, one mapped task a feed.

A backfill replays the days raw holds, and asks the portal nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import MultipleCronTriggerTimetable, Param, TriggerRule, dag, get_current_context, task
from bronze_assets import CHANGED_BRONZE, announce, read_registry
from task_rules import DAG_DEFAULTS, PORTAL_POOL, asked_day, logical_moment, origin

from catalog.clock import utc_now
from catalog.schedules import PRESETS, cron_of

CRONS = sorted({cron_of(feed.schedule) for feed in read_registry() if feed.enabled}) or [PRESETS["@daily"]]


def replays() -> bool:
    """Whether a run loads from raw alone: the portal shows today's files, which are not those of a day gone by."""
    context = get_current_context()
    is_past = asked_day() < (utc_now() - timedelta(days=1)).date()
    return context["dag_run"].run_type == "backfill" or is_past or bool(context["params"]["from_raw"])


@dag(
    dag_id="sync_feeds",
    schedule=MultipleCronTriggerTimetable(*CRONS, timezone="UTC"),
    params={
        "feeds": Param([], type="array", items={"type": "string"}, description="feeds to sync; none means all due"),
        "extraction_date": Param(None, type=["null", "string"], format="date", description="default: the logical date"),
        "from_raw": Param(False, type="boolean", description="load what raw holds of the day; ask the portal nothing"),
    },
    doc_md=__doc__,
    **{**DAG_DEFAULTS, "max_active_runs": 4},  # a backfill goes day by day while the present goes on
)
def sync_feeds() -> None:
    @task(execution_timeout=timedelta(minutes=5))
    def list_due_feeds() -> list[str]:
        from ingestion import jobs

        context = get_current_context()
        run_type = context["dag_run"].run_type
        if named := context["params"]["feeds"]:
            return list(named)
        if run_type == "scheduled":
            return jobs.due_feeds(logical_moment())
        return jobs.feeds_in_raw(asked_day()) if run_type == "backfill" else jobs.enabled_feeds()

    @task(
        pool=PORTAL_POOL,
        outlets=[CHANGED_BRONZE],
        map_index_template="{{ feed_name }}",
        execution_timeout=timedelta(hours=6),  # a download alone may take 4
        on_failure_callback=None,  # 50 feeds of a portal that is away are one message, the run's
    )
    def sync_feed(feed: str, outlet_events: Any = None) -> dict[str, Any]:
        from ingestion import jobs

        get_current_context()["feed_name"] = feed
        done = jobs.sync_feed(feed, asked_day(), origin(), from_raw=replays())
        if done["has_changed"]:
            announce(outlet_events, feed, asked_day())
        return done

    @task(outlets=[CHANGED_BRONZE], trigger_rule=TriggerRule.ALL_DONE)
    def announce_half_loaded(outlet_events: Any = None) -> list[str]:
        """A task that failed announces nothing: what its feed could load all the same is told here."""
        from ingestion import jobs

        run = get_current_context()["dag_run"]
        half_loaded = jobs.half_loaded_feeds(run.dag_id, run.run_id)
        for feed in half_loaded:
            announce(outlet_events, feed, asked_day())
        return half_loaded

    # as a teardown it does not make the run a success
    sync_feed.expand(feed=list_due_feeds()) >> announce_half_loaded().as_teardown()


sync_feeds()

"""Builds, tests and releases the domains whose bronze changed, one after the other, each after those it reads."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.sdk import AssetAny, Param, dag, get_current_context, task
from bronze_assets import bronze_asset, feed_of, read_registry
from task_rules import DAG_DEFAULTS, WAREHOUSE_POOL, asked_day, origin

ASSETS = [bronze_asset(feed.feed) for feed in read_registry()]


def news(events: Any) -> dict[date, set[str]]:
    """The feeds that changed, by the day their news is of."""
    found: dict[date, set[str]] = {}
    for asset in events or ():
        for event in events[asset]:
            found.setdefault(date.fromisoformat(event.extra["extraction_date"]), set()).add(feed_of(asset))
    return found


@dag(
    dag_id="build_warehouse",
    schedule=AssetAny(*ASSETS) if ASSETS else None,
    params={
        "feeds": Param([], type="array", items={"type": "string"}, description="feeds that changed; none means all"),
        "extraction_date": Param(None, type=["null", "string"], format="date", description="day the release is of"),
    },
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def build_warehouse() -> None:
    @task(execution_timeout=timedelta(minutes=5))
    def list_builds(triggering_asset_events: Any = None) -> list[dict[str, str]]:
        from catalog import jobs

        changed = news(triggering_asset_events) or {asked_day(): set(get_current_context()["params"]["feeds"])}
        return [
            {"domain": domain, "day": day.isoformat()}
            for day in sorted(changed)
            for domain in jobs.domains_to_build(sorted(changed[day]))
        ]

    # One slot: mapped tasks start in their order, and a domain's comes after those of the domains it reads.
    @task(
        pool=WAREHOUSE_POOL,
        max_active_tis_per_dag=1,
        map_index_template="{{ build_name }}",
        execution_timeout=timedelta(hours=3),
    )
    def build_domain(domain: str, day: str) -> dict[str, Any]:
        from catalog import jobs

        get_current_context()["build_name"] = f"{domain} {day}"
        return jobs.build_domain(domain, date.fromisoformat(day), origin())

    build_domain.expand_kwargs(list_builds())


build_warehouse()

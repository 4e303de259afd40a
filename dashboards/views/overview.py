"""Overview: how every feed is, at a glance."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards import figures, markup, records
from dashboards.frame import Context
from dashboards.gateway import Json
from dashboards.texts import Texts


def draw(context: Context) -> None:
    """Draw the page."""
    texts = context.texts
    feeds = context.get("/feeds")["data"]
    releases = context.get("/releases", limit=30)["data"]
    health = context.get("/health")
    growth = context.get("/growth", days=30)
    alerts = context.get("/alerts")["data"]
    waiting = context.get("/stats")["ingest"]
    st.caption(texts("overview.lead", url=context.url, time=f"{context.now:%H:%M:%S}"))
    _say_health(texts, health)
    st.html(markup.tiles([*_tiles(context, feeds, releases, alerts), _backlog(context, waiting)]))
    if not any(feed["extraction_date"] for feed in feeds):
        st.info(texts("overview.empty"), icon=":material/rocket_launch:")
        st.code("odh run", language="bash")
    _alerts(context, alerts)
    cells = records.calendar(growth["extractions"])
    if cells:
        st.subheader(texts("overview.calendar"), anchor=False)
        words = texts.words("overview.calendar", "feed", "day", "files", "failed", "stored", "unchanged")
        columns = {"day": words["day"], "feed": words["feed"], "status": texts("word.status"), "files": words["files"]}
        context.chart(figures.calendar(cells, words), words["title"], cells, columns)
    st.subheader(texts("overview.feeds"), anchor=False)
    st.html(_table(context, feeds))


def _tiles(
    context: Context, feeds: list[Json], releases: list[Json], alerts: list[Json]
) -> list[tuple[str, str, str, str]]:
    texts, states = context.texts, records.count_states(feeds)
    followed = len(feeds) - states["disabled"]
    severe = sum(alert["severity"] == "error" for alert in alerts)
    severity = "failed" if severe else "warned" if alerts else "fine"
    worst = "failed" if states["failed"] else "warned" if states["warned"] else "fine"
    release = max(releases, key=lambda one: one["published_at"] or "", default=None)
    rejected = sum(feed["rows_rejected"] for feed in feeds)
    return [
        (texts("tile.fine"), f"{states['fine']} / {followed}", texts("tile.fine_note", count=states["never"]), worst),
        (texts("tile.alerts"), texts.number(len(alerts)), texts("tile.alerts_note", count=severe), severity),
        (
            texts("tile.release"),
            f"n° {release['release_id']}" if release else "–",
            texts.age(release["published_at"], context.now) if release else texts("tile.release_none"),
            "",
        ),
        (
            texts("tile.rows"),
            texts.number(release["rows"] if release else 0),
            texts("tile.rows_note", count=release["tables"] if release else 0),
            "",
        ),
        (texts("tile.rejects"), texts.number(rejected), texts("tile.rejects_note"), "warned" if rejected else "fine"),
    ]


def _backlog(context: Context, waiting: Json) -> tuple[str, str, str, str]:
    texts, hours = context.texts, records.hours_since(waiting["oldest_at"], context.now)
    note = texts("tile.backlog_oldest", age=texts.age(waiting["oldest_at"], context.now)) if waiting["batches"] else ""
    state = "failed" if (hours or 0) > 1 else "warned" if (hours or 0) > 0.25 else "fine"
    return texts("tile.backlog"), texts.number(waiting["batches"]), note or texts("tile.backlog_none"), state


def _say_health(texts: Texts, health: Json) -> None:
    for name, service in health.get("services", {}).items():
        if service["status"] == "failed":
            st.error(
                texts("overview.unhealthy", service=name, detail=service["detail"]), icon=":material/heart_broken:"
            )


def _alerts(context: Context, alerts: list[Json]) -> None:
    texts = context.texts
    st.subheader(texts("overview.alerts"), anchor=False)
    if not alerts:
        st.success(texts("overview.no_alert"), icon=":material/check_circle:")
        return
    rows: list[tuple[Any, ...]] = [
        (
            markup.badge("failed" if alert["severity"] == "error" else "warned", texts(f"alert.{alert['kind']}")),
            alert["subject"],
            alert["what"],
            texts.age(alert["since"], context.now),
            texts.known(f"todo.{alert['kind']}", alert["advice"]),
            markup.link(alert["link"], "Airflow") if alert["link"] else None,
        )
        for alert in alerts
    ]
    columns = [texts(f"word.{name}") for name in ("what", "subject", "detail", "since", "todo", "task")]
    is_linked = any(alert["link"] for alert in alerts)
    rows = rows if is_linked else [row[:-1] for row in rows]
    st.html(markup.table(columns if is_linked else columns[:-1], rows, texts("overview.alerts"), texts))


def _table(context: Context, feeds: list[Json]) -> str:
    texts = context.texts
    names = ("state", "feed", "title", "last_extraction", "loaded", "tests", "why")
    rows = [
        (
            _state(texts, feed),
            _feed_link(texts, feed),
            feed["title"],
            texts.short_day(feed["extraction_date"]),
            feed["rows_loaded"] if feed["extraction_date"] else None,
            _tests(texts, feed),
            "; ".join(_reason(texts, one) for one in feed["reasons"]) or None,
        )
        for feed in feeds
    ]
    return markup.table([texts(f"word.{name}") for name in names], rows, texts("overview.feeds"), texts)


def _state(texts: Texts, feed: Json) -> markup.Markup:
    return markup.badge(feed["state"], texts(f"state.{feed['state']}"))


def _feed_link(texts: Texts, feed: Json) -> markup.Markup:
    return markup.link(f"./dataset?feed={feed['feed']}&lang={texts.language}", feed["feed"])


def _reason(texts: Texts, reason: Json) -> str:
    return texts(f"reason.{reason['kind']}", count=reason["count"])


def _tests(texts: Texts, feed: Json) -> markup.Markup | None:
    tests = feed["tests"]
    if not sum(tests.values()) or not feed["extraction_date"]:
        return None
    worst = "fail" if tests["fail"] + tests["error"] else "warn" if tests["warn"] else "pass"
    return markup.badge(worst, f"{texts.number(tests['pass'])} / {texts.number(sum(tests.values()))}")

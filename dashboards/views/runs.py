"""Runs: how long they take, which failed and why, and where the scheduler tells more."""

from __future__ import annotations

import streamlit as st

from dashboards import figures, markup, records
from dashboards.frame import Context
from dashboards.gateway import Json


def draw(context: Context) -> None:
    """Draw the page."""
    texts = context.texts
    days = st.selectbox(
        texts("word.period"), [7, 30, 90, 365], index=1, key="days", format_func=lambda n: texts("period", count=n)
    )
    runs = records.run_rows(context.get("/runs", days=days, limit=500)["data"])
    if not runs:
        st.info(texts("runs.empty"), icon=":material/hourglass_empty:")
        st.code("odh run", language="bash")
        return
    st.html(markup.tiles(_tiles(context, runs)))
    ended = [run for run in runs if run["seconds"] is not None]
    if ended:
        st.subheader(texts("runs.durations"), anchor=False)
        words = texts.words("runs.durations", "run", "command", "started", "seconds", "status", "error")
        words |= {status: texts(f"run.{status}") for status in figures.RUNS}
        columns = {
            "started_at": words["started"],
            "command": words["command"],
            "status": words["status"],
            "seconds": words["seconds"],
        }
        context.chart(figures.runs(ended, words), words["title"], ended, columns)
    failed = [run for run in runs if run["status"] in ("failed", "interrupted")]
    if failed:
        st.subheader(texts("runs.failures"), anchor=False)
        for number, run in enumerate(failed[:20]):
            title = f"{texts.moment(run['started_at'])} · odh {run['command']} · {run['run_id']}"
            with st.expander(title, expanded=number == 0, icon=":material/error:"):
                st.code(run["error"] or "–", language=None, wrap_lines=True)
                if run["task_url"]:
                    st.html(markup.link(run["task_url"], texts("runs.airflow")))
    st.subheader(texts("runs.all"), anchor=False)
    st.html(_table(context, runs[: markup.MOST_ROWS]))


def _tiles(context: Context, runs: list[Json]) -> list[tuple[str, str, str, str]]:
    texts, rate = context.texts, records.success_rate(runs)
    lasted = records.median(run["seconds"] for run in runs if run["seconds"] is not None)
    running = sum(run["status"] == "running" for run in runs)
    retried = sum((run["try_number"] or 1) > 1 for run in runs)
    share = f"{texts.number(100 * rate)} %" if rate is not None else "–"
    return [
        (texts("tile.success"), share, texts("tile.runs", count=len(runs)), "fine" if rate == 1 else "warned"),
        (texts("tile.lasted"), texts.duration(lasted), texts("tile.lasted_note"), ""),
        (texts("tile.running"), texts.number(running), texts("tile.running_note"), ""),
        (texts("tile.retries"), texts.number(retried), texts("tile.retries_note"), ""),
    ]


def _try(context: Context, run: Json) -> str | int | None:
    """Which try of its task a run was, and whether another comes; nothing for a run by hand."""
    number: int | None = run["try_number"]
    return context.texts("runs.try_again", count=number) if number and run["will_retry"] else number


def _table(context: Context, runs: list[Json]) -> str:
    texts = context.texts
    rows = [
        (
            markup.badge(run["status"], texts(f"run.{run['status']}")),
            texts.short_moment(run["started_at"]),
            run["command"],
            run["what"],
            texts.day(run["extraction_date"]),
            texts.duration(run["seconds"]),
            f"n° {run['release_id']}" if run["release_id"] else None,
            _try(context, run),
            markup.link(run["task_url"], "Airflow") if run["task_url"] else None,
        )
        for run in runs
    ]
    names = ("status", "started", "command", "feeds", "extraction_date", "lasted", "release", "try", "task")
    return markup.table([texts(f"word.{name}") for name in names], rows, texts("runs.all"), texts)

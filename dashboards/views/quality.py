"""Quality: tests by severity over time, and what drifts."""

from __future__ import annotations

import streamlit as st

from dashboards import figures, markup, records
from dashboards.frame import Context
from dashboards.gateway import Json


def draw(context: Context) -> None:
    """Draw the page."""
    texts = context.texts
    days = st.selectbox(
        texts("word.period"), [30, 90, 365, 3650], index=1, key="days", format_func=lambda n: texts("period", count=n)
    )
    quality = context.get("/quality", days=days)
    counts = records.tests_by_day(quality["history"])
    if not counts:
        st.info(texts("quality.empty"), icon=":material/hourglass_empty:")
        st.code("odh build", language="bash")
        return
    _tests(context, counts)
    _attention(context, quality["attention"])
    _drift(context, quality)
    _slowest(context, quality["slowest"])


def _tests(context: Context, counts: list[Json]) -> None:
    texts = context.texts
    st.subheader(texts("quality.tests"), anchor=False)
    st.caption(texts("quality.tests_how"))
    for place, severity in zip(st.columns(2), ("error", "warn"), strict=True):
        rows = [row for row in counts if row["severity"] == severity]
        with place:
            st.markdown(f"**{texts(f'severity.{severity}')}** — {texts(f'severity.{severity}_means')}")
            words = texts.words("quality.tests", "day", "status", "tests")
            words |= {status: texts(f"test.{status}") for status in figures.TESTS}
            title = f"{words['title']}, {texts(f'severity.{severity}')}"
            columns = {"day": words["day"], "status": words["status"], "tests": words["tests"]}
            context.chart(figures.tests_by_day(rows, {**words, "title": title}), title, rows, columns)


def _attention(context: Context, tests: list[Json]) -> None:
    texts = context.texts
    st.subheader(texts("quality.attention"), anchor=False)
    if not tests:
        st.success(texts("quality.all_pass"), icon=":material/check_circle:")
        return
    rows = [
        (
            markup.badge(test["status"], texts(f"test.{test['status']}")),
            test["domain"],
            test["table_name"],
            test["column_name"],
            markup.code(test["test_name"]),
            test["failures"],
            test["message"],
        )
        for test in tests
    ]
    names = ("status", "domain", "table", "column", "test", "found", "message")
    st.html(markup.table([texts(f"word.{name}") for name in names], rows, texts("quality.attention"), texts))


def _drift(context: Context, quality: Json) -> None:
    texts = context.texts
    st.subheader(texts("quality.drift"), anchor=False)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{texts('quality.changes')}**")
        changes = records.changes_by_day(quality["changes"])
        if changes:
            words = texts.words("quality.changes", "feed", "day", "changes")
            words |= {kind: texts(f"class.{kind}") for kind in figures.CLASSES}
            columns = {
                "day": words["day"],
                "feed": words["feed"],
                "class": texts("word.class"),
                "changes": words["changes"],
            }
            context.chart(figures.changes_by_day(changes, words), words["title"], changes, columns)
        else:
            st.caption(texts("quality.no_change"))
    with right:
        st.markdown(f"**{texts('quality.rejects')}**")
        rejects = [{**row, "day": row["extraction_date"]} for row in quality["rejects"]]
        if rejects:
            words = texts.words("quality.rejects", "day", "rows")
            words |= {"table_name": texts("word.table")}
            columns = {"day": words["day"], "table_name": words["table_name"], "rows": words["rows"]}
            context.chart(
                figures.stacked_by_day(rejects, "rows", "table_name", words), words["title"], rejects, columns
            )
        else:
            st.caption(texts("dataset.no_reject"))
    st.markdown(f"**{texts('quality.shifts')}**")
    st.caption(texts("quality.shifts_how"))
    shifts = records.newest_shifts(quality["shifts"])
    if shifts:
        words = texts.words("quality.shifts", "column", "day", "psi")
        columns = {"as_of": words["day"], "where": words["column"], "psi": "PSI", "ks": "KS"}
        context.chart(figures.shifts(shifts, words), words["title"], shifts, columns)
    else:
        st.caption(texts("quality.no_shift"))


def _slowest(context: Context, tests: list[Json]) -> None:
    texts = context.texts
    with st.expander(texts("quality.slowest")):
        rows = [(markup.code(test["test_name"]), test["domain"], texts.duration(test["seconds"])) for test in tests]
        names = ("test", "domain", "seconds")
        st.html(markup.table([texts(f"word.{name}") for name in names], rows, texts("quality.slowest"), texts))

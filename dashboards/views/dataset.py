"""Dataset: all that happened to one feed, and what is made from it."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

from dashboards import figures, lineage_picture, markup, records
from dashboards.frame import Context
from dashboards.gateway import GatewayRefused, Json
from dashboards.texts import Texts

REJECTS_SHOWN = 50
TABS = ("history", "lineage", "tests", "rejects", "files")


def draw(context: Context) -> None:
    """Draw the page."""
    texts = context.texts
    names = [feed["feed"] for feed in context.get("/feeds")["data"]]
    if not names:
        st.info(texts("dataset.no_feed"))
        return
    chosen, days = _choose(texts, names)
    feed = context.get(f"/feeds/{quote(chosen)}", days=days)
    _head(texts, feed)
    drawers = (_history, _lineage, _tests, _rejects, _files)
    for tab, drawer in zip(st.tabs([texts(f"tab.{name}") for name in TABS]), drawers, strict=True):
        with tab:
            drawer(context, feed)


def _choose(texts: Texts, names: list[str]) -> tuple[str, int]:
    left, right = st.columns([3, 2])
    given = st.query_params.get("feed", names[0])
    with left:
        chosen = st.selectbox(
            texts("word.feed"), sorted(names), index=sorted(names).index(given) if given in names else 0, key="feed"
        )
    with right:
        days = st.selectbox(
            texts("word.period"),
            [30, 90, 365, 3650],
            index=1,
            key="days",
            format_func=lambda n: texts("period", count=n),
        )
    st.query_params["feed"] = chosen
    return chosen, days


def _head(texts: Texts, feed: Json) -> None:
    st.subheader(feed["title"], anchor=False)
    st.markdown(feed["description"])
    facts: list[tuple[str, str | markup.Markup]] = [
        (texts("word.state"), markup.badge(feed["state"], texts(f"state.{feed['state']}"))),
        (texts("word.owner"), feed["owner"]),
        (texts("word.license"), texts.known(f"license.{feed['license']}", feed["license"])),
        (texts("word.domain"), feed["domain"]),
        (texts("word.schedule"), texts.known(f"schedule.{feed['schedule']}", feed["schedule"])),
        (texts("word.last_extraction"), texts.day(feed["extraction_date"])),
        (texts("word.source"), _source(feed)),
    ]
    if feed["restricted"]:
        facts.append((texts("word.access"), texts("dataset.restricted")))
    st.html(markup.facts(facts))


def _source(feed: Json) -> str:
    source = feed["source"]
    return str(
        source.get("dataset") or ", ".join(f"{name}: {value}" for name, value in source.get("search", {}).items())
    )


def _history(context: Context, feed: Json) -> None:
    texts, timeline = context.texts, feed["timeline"]
    if not timeline:
        st.info(texts("dataset.no_extraction"), icon=":material/hourglass_empty:")
        st.code(f"odh run {feed['feed']}", language="bash")
        return
    if feed["tables"]:
        st.markdown(f"#### {texts('dataset.rows')}")
        words = texts.words("dataset.rows", "table", "day", "rows", "rejected", "column", "change", "detail")
        chart = figures.rows_over_time(feed["tables"], feed["schema_changes"], words)
        columns = {
            "extraction_date": words["day"],
            "table_name": words["table"],
            "rows_loaded": words["rows"],
            "rows_rejected": words["rejected"],
        }
        context.chart(chart, words["title"], feed["tables"], columns)
    left, right = st.columns(2)
    with left:
        st.markdown(f"#### {texts('dataset.files')}")
        cells = records.long_timeline(timeline)
        words = texts.words("dataset.files", "day", "status", "files", "stored", "unchanged", "failed")
        columns = {"day": words["day"], "status": words["status"], "files": words["files"]}
        context.chart(figures.files_by_day(cells, words), words["title"], cells, columns)
    with right:
        st.markdown(f"#### {texts('dataset.bytes')}")
        words = texts.words("dataset.bytes", "day", "bytes")
        columns = {"extraction_date": words["day"], "bytes": words["bytes"]}
        context.chart(figures.bytes_by_day(timeline, words), words["title"], timeline, columns)


def _lineage(context: Context, feed: Json) -> None:
    texts = context.texts
    told = {layer: texts(f"layer.{layer}") for layer in lineage_picture.LAYERS}
    told["title"] = texts("lineage.title", feed=feed["feed"], count=len(feed["lineage"]))
    files = texts("lineage.files", count=feed["file_count"])
    st.caption(texts("lineage.how"))
    st.html(lineage_picture.draw(feed["title"], files, feed["lineage"], feed["bronze"], told))
    with st.expander(texts("as_table", title=texts("tab.lineage"))):
        rows = [(edge["source"], edge["target"]) for edge in feed["lineage"]]
        st.html(markup.table([texts("word.made_from"), texts("word.table")], rows, told["title"], texts))


def _tests(context: Context, feed: Json) -> None:
    texts, tests = context.texts, feed["test_results"]
    if not tests:
        st.info(texts("dataset.no_test"))
        return
    rows = [
        (
            markup.badge(test["status"], texts(f"test.{test['status']}")),
            test["table_name"],
            test["column_name"],
            markup.code(test["test_name"]),
            texts(f"severity.{test['severity']}"),
            test["failures"],
        )
        for test in tests
    ]
    names = ("status", "table", "column", "test", "severity", "found")
    st.html(markup.table([texts(f"word.{name}") for name in names], rows, texts("tab.tests"), texts))


def _rejects(context: Context, feed: Json) -> None:
    texts, groups = context.texts, feed["rejects"]
    if not groups:
        st.success(texts("dataset.no_reject"), icon=":material/check_circle:")
        return
    rows = [(g["table_name"], texts(f"stage.{g['stage']}"), g["column_name"], g["rows"]) for g in groups]
    names = ("table", "stage", "column", "rows")
    st.html(markup.table([texts(f"word.{name}") for name in names], rows, texts("dataset.reject_groups"), texts))
    st.markdown(f"#### {texts('dataset.reject_lines')}")
    total = sum(group["rows"] for group in groups)
    pages = max(1, -(-total // REJECTS_SHOWN))
    page = st.number_input(texts("dataset.page", count=pages), 1, pages, 1, key="reject_page") if pages > 1 else 1
    try:
        found = context.get(f"/feeds/{quote(feed['feed'])}/rejects", page=int(page), page_size=REJECTS_SHOWN)
    except GatewayRefused as error:
        st.warning(texts("dataset.rejects_refused", detail=error.detail), icon=":material/lock:")
        return
    lines = [
        (
            texts.day(row["extraction_date"]),
            "/".join(part for part in (row["source_file"], row["source_member"]) if part),
            row["source_line"],
            row["reason"],
            markup.code(row["raw_text"][:400]),
        )
        for row in found["data"]
    ]
    headings = [texts(f"word.{name}") for name in ("day", "file", "line", "why", "text")]
    st.html(markup.table(headings, lines, texts("dataset.reject_lines"), texts))


def _files(context: Context, feed: Json) -> None:
    texts = context.texts
    st.markdown(f"#### {texts('dataset.changes')}")
    if feed["schema_changes"]:
        rows = [
            (
                texts.day(one["extraction_date"]),
                markup.badge(one["class"], texts(f"class.{one['class']}")),
                one["table_name"],
                one["column_name"],
                texts.known(f"change.{one['change']}", one["change"]),
                one["detail"],
            )
            for one in feed["schema_changes"]
        ]
        names = ("day", "class", "table", "column", "change", "detail")
        st.html(markup.table([texts(f"word.{name}") for name in names], rows, texts("dataset.changes"), texts))
    else:
        st.caption(texts("dataset.no_change"))
    st.markdown(f"#### {texts('dataset.newest_files')}")
    files = [
        (
            markup.badge(one["status"], texts(f"word.{one['status']}")),
            markup.link(one["source_url"] or "", one["title"] or one["file_name"] or "–"),
            one["table_name"],
            texts.size(one["size_bytes"]),
            one["reason"] or texts.known(f"evidence.{one['evidence']}", one["evidence"] or ""),
        )
        for one in feed["files"]
    ]
    headings = [texts(f"word.{name}") for name in ("status", "file", "table", "size", "why")]
    st.html(markup.table(headings, files, texts("dataset.newest_files"), texts))

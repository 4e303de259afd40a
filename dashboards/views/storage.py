"""Storage: zones, tables, small files and growth."""

from __future__ import annotations

import streamlit as st

from dashboards import figures, markup, records
from dashboards.frame import Context
from dashboards.gateway import Json

LARGEST = 15


def draw(context: Context) -> None:
    """Draw the page."""
    texts = context.texts
    stats = context.get("/stats")
    growth = context.get("/growth", days=365)
    st.html(markup.tiles(_tiles(context, stats)))
    tables = records.storage_rows(stats["tables"])
    if not tables:
        st.info(texts("storage.empty"), icon=":material/hourglass_empty:")
        st.code("odh run", language="bash")
        return
    _growth(context, growth)
    left, right = st.columns([5, 4])
    words = texts.words("storage.tables", "table", "bytes", "rows", "files", "mean")
    columns = {"name": words["table"], "bytes": words["bytes"], "rows": words["rows"], "files": words["files"]}
    with left:
        st.subheader(texts("storage.tables"), anchor=False)
        largest = tables[:LARGEST]
        context.chart(figures.table_sizes(largest, words), words["title"], tables, columns)
    with right:
        st.subheader(texts("storage.small"), anchor=False)
        small = [table for table in tables if table["small"]]
        if small:
            st.warning(texts("storage.small_found", count=len(small)), icon=":material/compress:")
            st.code("odh maintain", language="bash")
        else:
            st.caption(texts("storage.small_none", files=records.MANY_FILES, size=texts.size(records.SMALL_FILE_BYTES)))
        words = {**words, "title": texts("storage.small")}
        columns = {"name": words["table"], "files": words["files"], "mean_bytes": words["mean"]}
        chart = figures.file_sizes(tables, words, records.SMALL_FILE_BYTES, records.MANY_FILES)
        context.chart(chart, words["title"], tables, columns)
    _removed(context, growth["removed"])


def _tiles(context: Context, stats: Json) -> list[tuple[str, str, str, str]]:
    texts, zones, databases, disk = context.texts, stats["zones"], stats["databases"], stats["disk"]
    raw, warehouse = zones["raw"], zones["warehouse"]
    free = disk["free_bytes"] / disk["total_bytes"] if disk["total_bytes"] else 1.0
    state = "failed" if free < 0.05 else "warned" if free < 0.15 else "fine"
    kept = sum(value or 0 for value in databases.values())
    return [
        (texts("layer.raw"), texts.size(raw["bytes"]), texts("tile.objects", count=raw["objects"]), ""),
        (
            texts("tile.warehouse"),
            texts.size(warehouse["bytes"]),
            texts("tile.objects", count=warehouse["objects"]),
            "",
        ),
        (texts("tile.databases"), texts.size(kept), texts("tile.databases_note"), ""),
        (
            texts("tile.disk"),
            texts.size(disk["free_bytes"]),
            texts("tile.disk_note", size=texts.size(disk["total_bytes"])),
            state,
        ),
    ]


def _growth(context: Context, growth: Json) -> None:
    texts = context.texts
    st.subheader(texts("storage.growth"), anchor=False)
    for place, (kind, value) in zip(st.columns(2), (("raw", "bytes"), ("bronze", "rows")), strict=True):
        rows = records.growing(growth[kind], value)
        with place:
            title = texts(f"storage.growth_{kind}")
            st.markdown(f"**{title}**")
            words = {**texts.words(f"storage.growth_{kind}", "feed", "day"), "total": texts(f"word.{value}")}
            columns = {"day": words["day"], "feed": words["feed"], "total": words["total"]}
            context.chart(figures.growth(rows, words), title, rows, columns)


def _removed(context: Context, removed: list[Json]) -> None:
    texts = context.texts
    with st.expander(texts("storage.removed")):
        if not removed:
            st.caption(texts("storage.nothing_removed"))
            return
        rows = [
            (texts.known(f"removed.{one['what']}", one["what"]), one["removals"], texts.size(one["bytes"]))
            for one in removed
        ]
        names = ("what", "removals", "size")
        st.html(markup.table([texts(f"word.{name}") for name in names], rows, texts("storage.removed"), texts))

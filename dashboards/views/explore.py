"""Explore: the marts of gold as maps and charts, and a box for SQL."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards import figures, markup, records
from dashboards.frame import Context
from dashboards.gateway import GatewayRefused, Json
from dashboards.texts import Texts

ACCIDENTS, CHARGERS = "#c4392d", "#2e8b62"
RANKED = 12
SQL_ROWS = 500
BACKDROP = """
select round(latitude, 1) as latitude, round(longitude, 1) as longitude, count(*) as points
from gold.{table} where latitude is not null and longitude is not null group by all order by points desc
"""
COMMISSIONED = """
select date_trunc('month', commissioned_on)::date as month_start_date, sum(point_count)::bigint as charging_point_count
from gold.fct_charging_point where commissioned_on is not null group by all order by month_start_date
"""
EXAMPLES = {
    "example.accidents": (
        "select departement_name, sum(accident_count) as accidents, sum(killed_count) as killed\n"
        "from gold.mart_accident_departement\ngroup by departement_name\norder by accidents desc\nlimit 10"
    ),
    "example.hours": (
        "select accident_hour, count(*) as accidents\nfrom gold.fct_accident\n"
        "group by accident_hour\norder by accident_hour"
    ),
    "example.rejects": (
        "select table_name, stage, reason, count(*) as rows\nfrom ops.rejects\n"
        "group by all\norder by rows desc\nlimit 20"
    ),
}


def draw(context: Context) -> None:
    """Draw the page."""
    texts = context.texts
    accidents, chargers, sql = st.tabs([texts("explore.accidents"), texts("explore.chargers"), "SQL"])
    with accidents:
        _or_missing(texts, _accidents, context)
    with chargers:
        _or_missing(texts, _chargers, context)
    with sql:
        _sql(context)


def _or_missing(texts: Texts, drawer: Any, context: Context) -> None:
    """Draw a part, or say that its tables are not released; the other parts are drawn anyway."""
    try:
        drawer(context)
    except GatewayRefused as error:
        if error.status != 404:
            raise
        st.info(texts("explore.missing"), icon=":material/hourglass_empty:")
        st.code("odh run", language="bash")


def _accidents(context: Context) -> None:
    texts = context.texts
    rows = context.rows("/curated/mart_accident_departement")
    found = records.years(rows, "accident_year")
    left, right = st.columns(2)
    with left:
        year = st.selectbox(texts("word.year"), found, key="year")
    with right:
        measures = ("accident_count", "killed_count", "accident_per_100000_inhabitants")
        measure = st.selectbox(
            texts("word.measure"), measures, key="measure", format_func=lambda m: texts(f"measure.{m}")
        )
    of_year = [row for row in rows if row["accident_year"] == year]
    _map(context, of_year, "fct_accident", measure, ACCIDENTS, f"{texts(f'measure.{measure}')}, {year}")
    months = context.rows("/curated/mart_accident_month", month_start_date__sort="asc")
    st.subheader(texts("explore.trend"), anchor=False)
    value = "killed_count" if measure == "killed_count" else "accident_count"
    words = {**texts.words("explore.trend", "month"), "value": texts(f"measure.{value}")}
    columns = {"month_start_date": words["month"], value: words["value"]}
    context.chart(figures.trend(months, value, words, ACCIDENTS), words["title"], months, columns)


def _chargers(context: Context) -> None:
    texts = context.texts
    rows = context.rows("/curated/mart_charging_point_departement")
    measures = ("charging_point_count", "station_count", "total_power_kw", "charging_point_per_100000_inhabitants")
    measure = st.selectbox(
        texts("word.measure"), measures, key="charger_measure", format_func=lambda m: texts(f"measure.{m}")
    )
    _map(context, rows, "fct_charging_point", measure, CHARGERS, texts(f"measure.{measure}"))
    classes = context.rows("/curated/mart_charging_point_power_class", power_class_rank__sort="asc")
    st.subheader(texts("explore.classes"), anchor=False)
    words = {**texts.words("explore.classes", "class"), "value": texts("measure.charging_point_count")}
    columns = {"power_class_label": words["class"], "charging_point_count": words["value"]}
    context.chart(figures.classes(classes, words, CHARGERS), words["title"], classes, columns)
    months = records.rows_of(_answer(context, COMMISSIONED, 2_000))
    if months:
        st.subheader(texts("explore.commissioned"), anchor=False)
        words = {**texts.words("explore.commissioned", "month"), "value": texts("measure.charging_point_count")}
        columns = {"month_start_date": words["month"], "charging_point_count": words["value"]}
        chart = figures.trend(months, "charging_point_count", words, CHARGERS)
        context.chart(chart, words["title"], months, columns)


def _map(context: Context, rows: list[Json], table: str, measure: str, colour: str, title: str) -> None:
    texts = context.texts
    centres = context.rows(f"/curated/{table}", departement_code__groupby="", latitude__avg="", longitude__avg="")
    here, elsewhere = records.placed(rows, centres, measure)
    if not here and not elsewhere:
        st.info(texts("explore.no_value"), icon=":material/hourglass_empty:")
        return
    words = {**texts.words("explore.map", "departement", "code"), "value": texts(f"measure.{measure}"), "title": title}
    columns = {"departement_code": words["code"], "departement_name": words["departement"], "value": words["value"]}
    left, right = st.columns([3, 2])
    with left:
        st.markdown(f"**{title}**")
        backdrop = _backdrop(context, table)
        chart = figures.france(here, backdrop, words, colour)
        context.chart(chart, title, [*here, *elsewhere], columns)
        st.caption(texts("explore.how_dots" if backdrop else "explore.how"))
    with right:
        st.markdown(f"**{texts('explore.most')}**")
        context.draw(figures.ranking(here[:RANKED], {**words, "title": texts("explore.most")}, colour))
        if elsewhere:
            st.markdown(f"**{texts('explore.overseas')}**")
            context.draw(figures.ranking(elsewhere[:RANKED], {**words, "title": texts("explore.overseas")}, colour))


def _backdrop(context: Context, table: str) -> list[Json]:
    """The points themselves, on a grid of a tenth of a degree."""
    return records.points(_answer(context, BACKDROP.format(table=table), 10_000))


def _answer(context: Context, statement: str, most: int) -> Json:
    """What SQL adds to a page; nothing for a key that may not run it."""
    try:
        return context.sql(statement, most)
    except GatewayRefused:
        return {"columns": [], "rows": []}


def _sql(context: Context) -> None:
    texts = context.texts
    st.caption(texts("sql.how"))
    example = st.selectbox(texts("sql.example"), list(EXAMPLES), key="example", format_func=texts)
    statement = st.text_area(texts("sql.statement"), EXAMPLES[example], height=170, key=f"statement_{example}")
    if not st.button(texts("sql.run"), type="primary", key="run_sql") or not statement.strip():
        return
    try:
        with st.spinner(texts("sql.running")):
            answer = context.sql(statement, SQL_ROWS)
    except GatewayRefused as error:
        st.error(texts("sql.refused"), icon=":material/error:")
        st.code(error.detail, language=None, wrap_lines=True)
        return
    names = [column["name"] for column in answer["columns"]]
    if not answer["rows"]:
        st.info(texts("sql.no_row"))
        return
    st.html(markup.table(names, answer["rows"], texts("sql.result"), texts))
    st.caption(texts("sql.truncated" if answer["truncated"] else "sql.count", count=len(answer["rows"])))

"""The charts, as Altair specifications: rows in, a chart out. Colours are the same for the same thing on every page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

Json = dict[str, Any]
GOOD, WARN, BAD, QUIET, BLUE = "#2e8b62", "#d99a1c", "#c4392d", "#a7b0bd", "#2b5ea7"
STATUS = {"failed": BAD, "stored": BLUE, "unchanged": QUIET}
TESTS = {"fail": BAD, "warn": WARN, "skipped": QUIET, "pass": GOOD}
RUNS = {"succeeded": GOOD, "failed": BAD, "interrupted": WARN, "running": BLUE}
CLASSES = {"breaking": BAD, "safe": BLUE}
LAYERS = {"bronze": "#b0713b", "silver": "#7f8ea3", "gold": "#c99b1d"}
FEEDS = ["#2b5ea7", "#2e8b62", "#c98500", "#8a4fb0", "#c4392d", "#2496a8", "#7a6a53", "#d0628f", "#5b6b7d", "#8fae3c"]
HEIGHT = 260
Figure = Any  # a chart of Altair, one alone or layers; its own methods tell no more


def _of(rows: Sequence[Json]) -> Figure:
    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]


def _colour(field: str, colours: Mapping[str, str], words: Mapping[str, str]) -> alt.Color:
    """Colours by value, with words for the legend."""
    labels = " : ".join(f"datum.value === '{value}' ? '{words[value]}'" for value in colours) + " : datum.value"
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend(title=None, orient="top", labelExpr=labels))


def _day(field: str = "day") -> alt.X:
    return alt.X(f"yearmonthdate({field}):T", title=None, axis=alt.Axis(format="%e %b", labelOverlap=True, grid=False))


def _tip(field: str, title: str, kind: str = "N", **more: Any) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:{kind}", title=title, **more)


def calendar(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Feeds by day, each cell the worst that happened."""
    return (
        _of(rows)
        .mark_rect(cornerRadius=3, stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("yearmonthdate(day):O", title=None, axis=alt.Axis(format="%e %b", labelAngle=0, labelOverlap=True)),
            y=alt.Y("feed:N", title=None, axis=alt.Axis(labelOverlap=False)),
            color=_colour("status", STATUS, words),
            tooltip=[
                _tip("feed", words["feed"]),
                _tip("day", words["day"], "T"),
                _tip("files", words["files"], "Q"),
                _tip("failed", words["failed"], "Q"),
            ],
        )
        .properties(height={"step": 26}, description=words["title"])
    )


def files_by_day(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Files of a feed by day and how they ended."""
    return (
        _of(rows)
        .mark_bar(size=14, cornerRadiusEnd=2)
        .encode(
            x=_day(),
            y=alt.Y("files:Q", title=words["files"], axis=alt.Axis(tickMinStep=1)),
            color=_colour("status", STATUS, words),
            tooltip=[
                _tip("day", words["day"], "T"),
                _tip("status", words["status"]),
                _tip("files", words["files"], "Q"),
            ],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def rows_over_time(rows: Sequence[Json], changes: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Rows loaded by table and day, and a rule where the files changed their shape."""
    lines = (
        _of(rows)
        .mark_line(point=alt.OverlayMarkDef(size=46), strokeWidth=2)
        .encode(
            x=_day("extraction_date"),
            y=alt.Y("rows_loaded:Q", title=words["rows"], axis=alt.Axis(format="~s")),
            color=alt.Color(
                "table_name:N", scale=alt.Scale(range=FEEDS), legend=alt.Legend(title=None, orient="top", columns=2)
            ),
            tooltip=[
                _tip("table_name", words["table"]),
                _tip("extraction_date", words["day"], "T"),
                _tip("rows_loaded", words["rows"], "Q", format=","),
                _tip("rows_rejected", words["rejected"], "Q", format=","),
            ],
        )
    )
    rules = (
        _of(changes)
        .mark_rule(strokeDash=[5, 3], strokeWidth=2)
        .encode(
            x=_day("extraction_date"),
            color=alt.condition("datum.class === 'breaking'", alt.value(BAD), alt.value(QUIET)),
            tooltip=[
                _tip("extraction_date", words["day"], "T"),
                _tip("column_name", words["column"]),
                _tip("change", words["change"]),
                _tip("detail", words["detail"]),
            ],
        )
    )
    return alt.layer(lines, rules).properties(height=HEIGHT + 30, description=words["title"])


def bytes_by_day(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Bytes stored by day."""
    return (
        _of(rows)
        .mark_bar(size=14, color=BLUE, cornerRadiusEnd=2)
        .encode(
            x=_day("extraction_date"),
            y=alt.Y("bytes:Q", title=words["bytes"], axis=alt.Axis(format="~s")),
            tooltip=[_tip("extraction_date", words["day"], "T"), _tip("bytes", words["bytes"], "Q", format=",")],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def tests_by_day(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Tests by day and how they ended, of one severity."""
    order = alt.Order("order:Q")
    rank = {"fail": 0, "warn": 1, "skipped": 2, "pass": 3}
    return (
        _of([{**row, "order": rank.get(row["status"], 3)} for row in rows])
        .mark_bar(size=18, cornerRadiusEnd=2)
        .encode(
            x=_day(),
            y=alt.Y("tests:Q", title=words["tests"], axis=alt.Axis(tickMinStep=1)),
            color=_colour("status", TESTS, words),
            order=order,
            tooltip=[
                _tip("day", words["day"], "T"),
                _tip("status", words["status"]),
                _tip("tests", words["tests"], "Q"),
            ],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def stacked_by_day(rows: Sequence[Json], value: str, group: str, words: Mapping[str, str]) -> Figure:
    """Counts by day and group."""
    return (
        _of(rows)
        .mark_bar(size=14, cornerRadiusEnd=2)
        .encode(
            x=_day("day"),
            y=alt.Y(f"sum({value}):Q", title=words[value], axis=alt.Axis(tickMinStep=1)),
            color=alt.Color(
                f"{group}:N", scale=alt.Scale(range=FEEDS), legend=alt.Legend(title=None, orient="top", columns=2)
            ),
            tooltip=[_tip("day", words["day"], "T"), _tip(group, words[group]), _tip(value, words[value], "Q")],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def changes_by_day(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Changes of shape: a dot a feed and day, larger where there are more."""
    return (
        _of(rows)
        .mark_circle(opacity=0.85)
        .encode(
            x=_day(),
            y=alt.Y("feed:N", title=None, axis=alt.Axis(labelOverlap=False)),
            size=alt.Size("changes:Q", legend=None, scale=alt.Scale(range=[80, 500])),
            color=_colour("class", CLASSES, words),
            tooltip=[
                _tip("feed", words["feed"]),
                _tip("day", words["day"], "T"),
                _tip("changes", words["changes"], "Q"),
            ],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def shifts(rows: Sequence[Json], words: Mapping[str, str], bound: float = 0.25) -> Figure:
    """How far columns moved between snapshots, with the bound beyond which one is refused."""
    bars = (
        _of(rows)
        .mark_bar(cornerRadiusEnd=2, height={"band": 0.7})
        .encode(
            y=alt.Y("where:N", sort="-x", title=None, axis=alt.Axis(labelLimit=320, labelOverlap=False)),
            x=alt.X("psi:Q", title=words["psi"], scale=alt.Scale(domainMin=0, domainMax=bound * 1.2, clamp=True)),
            color=alt.condition(f"datum.psi > {bound}", alt.value(BAD), alt.value(BLUE)),
            tooltip=[
                _tip("where", words["column"]),
                _tip("as_of", words["day"], "T"),
                _tip("psi", "PSI", "Q", format=".3f"),
                _tip("ks", "KS", "Q", format=".3f"),
            ],
        )
    )
    rule = _of([{"bound": bound}]).mark_rule(strokeDash=[4, 3], color=BAD).encode(x="bound:Q")
    return alt.layer(bars, rule).properties(height=80 + 22 * len(rows), description=words["title"])


def runs(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Each run a dot: when it began, how long it took, how it ended."""
    return (
        _of(rows)
        .mark_point(filled=True, size=110, opacity=0.9)
        .encode(
            x=alt.X("started_at:T", title=None, axis=alt.Axis(format="%e %b", labelOverlap=True, grid=False)),
            y=alt.Y("seconds:Q", title=words["seconds"]),
            color=_colour("status", RUNS, words),
            shape=alt.Shape(
                "command:N",
                legend=alt.Legend(title=None, orient="top"),
                scale=alt.Scale(range=["circle", "diamond", "triangle-up", "square", "cross"]),
            ),
            tooltip=[
                _tip("run_id", words["run"]),
                _tip("command", words["command"]),
                _tip("started_at", words["started"], "T", format="%e %b %Y, %H:%M"),
                _tip("seconds", words["seconds"], "Q", format=".1f"),
                _tip("status", words["status"]),
                _tip("first_error", words["error"]),
            ],
        )
        .properties(height=HEIGHT + 40, description=words["title"])
    )


def growth(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """Running totals by feed, one on the other."""
    return (
        _of(rows)
        .mark_area(opacity=0.85, line=True, interpolate="monotone")
        .encode(
            x=_day(),
            y=alt.Y("total:Q", title=words["total"], axis=alt.Axis(format="~s")),
            color=alt.Color(
                "feed:N", scale=alt.Scale(range=FEEDS), legend=alt.Legend(title=None, orient="top", columns=4)
            ),
            tooltip=[
                _tip("feed", words["feed"]),
                _tip("day", words["day"], "T"),
                _tip("total", words["total"], "Q", format=","),
            ],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def table_sizes(rows: Sequence[Json], words: Mapping[str, str]) -> Figure:
    """The largest tables."""
    return (
        _of(rows)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=alt.Y("name:N", sort="-x", title=None, axis=alt.Axis(labelLimit=300, labelOverlap=False)),
            x=alt.X("bytes:Q", title=words["bytes"], axis=alt.Axis(format="~s")),
            color=_colour("layer", LAYERS, {"bronze": "bronze", "silver": "silver", "gold": "gold"}),
            tooltip=[
                _tip("name", words["table"]),
                _tip("bytes", words["bytes"], "Q", format=","),
                _tip("rows", words["rows"], "Q", format=","),
                _tip("files", words["files"], "Q", format=","),
            ],
        )
        .properties(height=110 + 22 * len(rows), description=words["title"])
    )


def file_sizes(rows: Sequence[Json], words: Mapping[str, str], small_bytes: int, many: int) -> Figure:
    """Files by their number and mean size; those to make one stand in the shaded corner."""
    corner = (
        _of([{"x": many, "x2": 100_000, "y": 100, "y2": small_bytes}])
        .mark_rect(opacity=0.12, color=BAD, clip=True)
        .encode(x="x:Q", x2="x2:Q", y="y:Q", y2="y2:Q")
    )
    dots = (
        _of(rows)
        .mark_circle(opacity=0.8, size=90, clip=True)
        .encode(
            x=alt.X("files:Q", title=words["files"], scale=alt.Scale(type="log", domain=[0.8, 1000], nice=False)),
            y=alt.Y(
                "mean_bytes:Q",
                title=words["mean"],
                scale=alt.Scale(type="log", domain=[1000, 1_000_000_000], nice=False),
                axis=alt.Axis(format="~s", tickCount=6),
            ),
            color=_colour("layer", LAYERS, {"bronze": "bronze", "silver": "silver", "gold": "gold"}),
            tooltip=[
                _tip("name", words["table"]),
                _tip("files", words["files"], "Q", format=","),
                _tip("mean_bytes", words["mean"], "Q", format=",.0f"),
            ],
        )
    )
    return alt.layer(corner, dots).properties(height=HEIGHT + 60, description=words["title"])


def france(
    rows: Sequence[Json], backdrop: Sequence[Json], words: Mapping[str, str], colour: str, height: int = 540
) -> Figure:
    """Départements as discs as large as their value, at the centres of their points, over the points themselves."""
    dots = (
        _of(backdrop)
        .mark_circle(size=9, color=QUIET, opacity=0.45)
        .encode(longitude="longitude:Q", latitude="latitude:Q")
    )
    discs = (
        _of(rows)
        .mark_circle(opacity=0.62, stroke="white", strokeWidth=0.8, color=colour)
        .encode(
            longitude="longitude:Q",
            latitude="latitude:Q",
            size=alt.Size(
                "value:Q",
                scale=alt.Scale(rangeMin=8, rangeMax=1500),
                legend=alt.Legend(title=None, orient="bottom", direction="horizontal", tickCount=4),
            ),
            tooltip=[
                _tip("departement_name", words["departement"]),
                _tip("departement_code", words["code"]),
                _tip("value", words["value"], "Q", format=",.5~g"),
            ],
        )
    )
    layers = [dots, discs] if backdrop else [discs]
    return alt.layer(*layers).project("mercator").properties(height=height, description=words["title"])


def ranking(rows: Sequence[Json], words: Mapping[str, str], colour: str) -> Figure:
    """The largest values, by département."""
    return (
        _of(rows)
        .mark_bar(cornerRadiusEnd=2, color=colour)
        .encode(
            y=alt.Y("departement_name:N", sort="-x", title=None, axis=alt.Axis(labelLimit=180, labelOverlap=False)),
            x=alt.X("value:Q", title=words["value"]),
            tooltip=[
                _tip("departement_name", words["departement"]),
                _tip("value", words["value"], "Q", format=",.5~g"),
            ],
        )
        .properties(height=70 + 22 * len(rows), description=words["title"])
    )


def trend(rows: Sequence[Json], value: str, words: Mapping[str, str], colour: str) -> Figure:
    """A measure by month."""
    return (
        _of(rows)
        .mark_area(line={"color": colour, "strokeWidth": 2}, color=colour, opacity=0.16, interpolate="monotone")
        .encode(
            x=alt.X("month_start_date:T", title=None, axis=alt.Axis(format="%b %Y", labelOverlap=True, grid=False)),
            y=alt.Y(f"{value}:Q", title=words["value"]),
            tooltip=[
                _tip("month_start_date", words["month"], "T", format="%B %Y"),
                _tip(value, words["value"], "Q", format=","),
            ],
        )
        .properties(height=HEIGHT, description=words["title"])
    )


def classes(rows: Sequence[Json], words: Mapping[str, str], colour: str) -> Figure:
    """Charging points by class of power, in the order of the classes."""
    return (
        _of(rows)
        .mark_bar(cornerRadiusEnd=2, color=colour)
        .encode(
            y=alt.Y(
                "power_class_label:N",
                sort=alt.EncodingSortField("power_class_rank"),
                title=None,
                axis=alt.Axis(labelLimit=220, labelOverlap=False),
            ),
            x=alt.X("charging_point_count:Q", title=words["value"]),
            tooltip=[
                _tip("power_class_label", words["class"]),
                _tip("charging_point_count", words["value"], "Q", format=","),
            ],
        )
        .properties(height=70 + 32 * len(rows), description=words["title"])
    )

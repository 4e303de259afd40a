"""The page of a report: one HTML file that asks nothing of any server, made of the report's JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from catalog.quality.charts import histogram, ranking

Json = Mapping[str, Any]
STYLE = Path(__file__).with_name("page.css")
WORDS = {
    "passed": "Passed: every check holds.",
    "warned": "Passed with warnings: nothing was stopped, something is to be looked at.",
    "failed": "Failed: what failed was not published, and readers keep what was there.",
    "unchanged": "Nothing changed: there was nothing to check.",
}
WORK = {"build": "Looking at rows and tables", "snapshot": "Taking the snapshots"}
WORST_FIRST = {"error": 0, "fail": 1, "warn": 2, "skipped": 3, "pass": 4}


def render(report: Json) -> str:
    """The whole page."""
    checks = sorted(report["checks"], key=lambda c: (WORST_FIRST.get(c["status"], 0), c["domain"], c["name"]))
    title = f"Validation report {report['run_id']}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<style>{STYLE.read_text('utf-8')}</style></head><body><main>",
        _head(report),
        _outcomes(report),
        _checks([check for check in checks if check["status"] != "pass"]),
        _shifts(report["shifts"]),
        _intake(report["loads"], report["rejects"]),
        _tables("Tables kept" if report["kind"] == "snapshot" else "Tables that changed", report["tables"]),
        _passed([check for check in checks if check["status"] == "pass"]),
        f'<p class="dim">{WORK[report["kind"]]} took {report["seconds"]:.1f} s.</p>',
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _head(report: Json) -> str:
    outcome = report["outcome"]
    counts = Counter(check["status"] for check in report["checks"])
    rejected = sum(group["count"] for group in report["rejects"])
    release = report["release_id"] if report["release_id"] is not None else "none"
    tiles = {
        "checks passed": counts["pass"],
        "warnings": counts["warn"],
        "failures": counts["fail"] + counts["error"],
        "tables looked at": len(report["tables"]),
        "rejects": rejected,
        "release": release,
    }
    listed = "".join(f"<li><b>{_number(value)}</b>{name}</li>" for name, value in tiles.items())
    told = f"{report['kind']} of {report['extraction_date']}, run {report['run_id']}, {report['written_at'][:19]} UTC"
    return (
        f'<h1>Validation report</h1><p class="dim">{escape(told)}</p>'
        f'<p class="status {outcome}" role="status">{WORDS[outcome]}</p><ul class="tiles">{listed}</ul>'
    )


def _outcomes(report: Json) -> str:
    """What became of each domain of a build, of each table of which a snapshot was asked for."""
    told = report["domains"]
    if not told:
        return ""
    if report["kind"] == "snapshot":
        listed = _table(("status", "table", "why"), [[_status(d["status"]), d["domain"], d["reason"]] for d in told])
    else:
        rows = [[_status(d["status"]), d["domain"], d["tables"], d["tables_changed"], d["reason"]] for d in told]
        listed = _table(("status", "domain", "tables", "changed", "why"), rows)
    return "<h2>What became of it</h2>" + listed


def _checks(checks: Sequence[Json]) -> str:
    if not checks:
        return ""
    return "<h2>Checks to look at</h2>" + "".join(_check(check) for check in checks)


def _check(check: Json) -> str:
    place = ".".join(part for part in (check["table"], check["column"]) if part) or check["domain"]
    found = f", {_number(check['failures'])} found" if check["failures"] else ""
    head = (
        f"{_status(check['status'])} <code>{escape(place)}</code> {escape(check['name'])} "
        f'<span class="dim">severity {escape(check["severity"])}{found}</span>'
    )
    said = f"<p>{escape(check['message'])}</p>" if check["message"] else ""
    is_open = " open" if check["status"] in ("fail", "error") else ""
    return f"<details{is_open}><summary>{head}</summary>{said}{_offending(check['offending'])}</details>"


def _offending(found: Json | None) -> str:
    if not found:
        return ""
    note = f'<p class="dim">{escape(found["note"])}</p>' if found["note"] else ""
    if not found["rows"]:
        return note
    return _table(found["columns"], found["rows"], "Some of the rows it found") + note


def _shifts(shifts: Sequence[Json]) -> str:
    if not shifts:
        return ""
    rows = [[one["table"], one["column"], one["psi"], one["ks"]] for one in shifts]
    told = "Population stability index and Kolmogorov-Smirnov distance to the snapshot before"
    return "<h2>Shifts</h2>" + _table(("table", "column", "PSI", "KS"), rows, told)


def _intake(loads: Sequence[Json], rejects: Sequence[Json]) -> str:
    columns = ("feed", "table_name", "status", "files", "rows_loaded", "rows_rejected", "reason")
    listed = _table(columns, [[one[name] for name in columns] for one in loads]) if loads else ""
    shown = "".join(_reject(group) for group in rejects)
    return (f"<h2>Rows that came in</h2>{listed}" if listed else "") + (f"<h2>Rejects</h2>{shown}" if shown else "")


def _reject(group: Json) -> str:
    column = f".{group['column_name']}" if group["column_name"] else ""
    head = f"<b>{_number(group['count'])}</b> <code>{escape(group['table_name'] + column)}</code>"
    columns = ("source_file", "source_member", "source_line", "raw_text", "reason")
    rows = [[one.get(name) for name in columns] for one in group["examples"]]
    summary = f'<summary>{head} <span class="dim">stage {escape(group["stage"])}</span></summary>'
    return f"<details>{summary}{_table(columns, rows, 'Some of them')}</details>"


def _tables(title: str, tables: Sequence[Json]) -> str:
    if not tables:
        return ""
    return f"<h2>{title}</h2>" + "".join(
        _statistics(one) for one in sorted(tables, key=lambda table: (table["layer"], table["name"]))
    )


def _statistics(table: Json) -> str:
    found = table["statistics"]
    name = f"<code>{escape(table['layer'])}.{escape(table['name'])}</code>"
    if not found:
        return f"<details><summary>{name}</summary><p>{escape(table['note'] or '')}</p></details>"
    notes = []
    if found["sampled"] < found["rows"]:
        notes.append(f"Quantiles, commonest values and distributions are of {_number(found['sampled'])} random rows.")
    if found["columns_left_out"]:
        notes.append(f"{_number(found['columns_left_out'])} further columns are not looked at.")
    if found["hidden"]:
        notes.append(f"Personal data, not looked at: {escape(', '.join(found['hidden']))}.")
    head = f'<summary>{name} <span class="dim">{_number(found["rows"])} rows</span></summary>'
    told = "".join(f'<p class="dim">{note}</p>' for note in notes)
    columns = ("column", "type", "missing", "distinct", "least", "median", "most", "mean", "values")
    listed = _table(columns, [_column(one, found["rows"]) for one in found["columns"]])
    return f"<details>{head}{told}{listed}</details>"


def _column(one: Json, rows: int) -> list[Any]:
    missing = f"{100 * one['nulls'] / rows:.1f} %" if rows and one["nulls"] else ("0" if rows else None)
    median = (one["quantiles"] or {}).get("50 %")
    mean = f"{one['mean']:.6g}" if one["mean"] is not None else None
    drawn = histogram(one["name"], one["distribution"]) or ranking(one["name"], _common(one["top"]))
    extremes = (one["minimum"], median, one["maximum"])
    return [one["name"], one["type"].lower(), missing, one["distinct"], *extremes, mean, _Markup(drawn)]


def _common(top: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The commonest values, unless each stands there once: five of many keys tell nothing."""
    return top if len(top) == 1 or any(count > 1 for _, count in top) else ()


def _passed(checks: Sequence[Json]) -> str:
    if not checks:
        return ""
    rows = [[one["domain"], one["table"], one["column"], one["name"], one["severity"]] for one in checks]
    listed = _table(("domain", "table", "column", "check", "severity"), rows)
    return f"<h2>Checks that hold</h2><details><summary>{_number(len(checks))} checks</summary>{listed}</details>"


class _Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def _status(status: str) -> _Markup:
    return _Markup(f'<span class="status {escape(status)}">{escape(status)}</span>')


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    content = list(rows)
    numeric = [
        all(isinstance(row[place], int | float) or row[place] is None for row in content)
        and any(row[place] is not None for row in content)
        for place in range(len(columns))
    ]
    sides = [' class="n"' if is_number else "" for is_number in numeric]
    head = "".join(f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(columns, sides, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{_cell(v)}</td>" for v, side in zip(row, sides, strict=True)) + "</tr>"
        for row in content
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, _Markup):
        return value
    return _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else escape(str(value))


def _number(value: Any) -> str:
    """A number with thin spaces between thousands; what is none as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return escape(str(value))
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.4g}"

"""The table of docs/performance.md, from the results of `make bench-ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- bench-ingest: written by the command -->\n", "<!-- bench-ingest: end -->\n"
TITLES = {
    "odh": "OpenDataHub",
    "duckdb": "DuckDB COPY",
    "pandas": "pandas",
    "dlt": "dlt (pyarrow)",
    "dlt_reader": "dlt (its reader)",
}


def write_report(results: dict[str, Any], *, into_docs: bool) -> str:
    """Give the report as Markdown, and put it into its place in the docs."""
    text = _report(results)
    if into_docs:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
    return text


def _report(results: dict[str, Any]) -> str:
    cases, machine = results["cases"], results["machine"]
    titles = {
        "utf-8": f"{results['rows']:,} x 20, utf-8",
        "cp1252": f"{results['rows']:,} x 20, cp1252",
        "small": f"{results['small_files']:,} files of {cases['small']['odh']['rows'] // results['small_files']} rows",
    }
    names = [name for name in TITLES if name in cases["utf-8"]]
    heads = " | ".join(TITLES[name] for name in names)
    lines = [f"| seconds (of processors; peak MiB) | {heads} |", "|---|" + "---:|" * len(names)]
    for case, title in titles.items():
        lines.append(f"| {title} | {' | '.join(_cell(cases[case].get(name)) for name in names)} |")
    lines += ["", "| goal | measured | |", "|---|---:|---|"]
    lines += [f"| {goal} | {measured} | {'met' if met else '**missed**'} |" for goal, measured, met in _goals(results)]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines += [
        "",
        f"Medians of {len(cases['utf-8']['odh']['all_seconds'])}; {results['started_at'][:10]}, commit"
        f" `{results['commit'][:12]}{results['commit'][40:]}`, {machine['cores']} cores of {machine['processor']},",
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, {versions}.",
        f"Load average of the machine {machine['load_before']} before and {machine['load_after']} after.",
        "",
    ]
    return "\n".join(lines)


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "not read"
    return f"{one['seconds']:.1f} ({one['cpu_seconds']:.1f}; {one['peak_mib']:,})"


def _goals(results: dict[str, Any]) -> list[tuple[str, str, bool]]:
    cases = results["cases"]
    seconds = {case: {name: one["seconds"] for name, one in by.items()} for case, by in cases.items()}
    peak = {name: one["peak_mib"] for name, one in cases["utf-8"].items()}
    wide, each = seconds["utf-8"], 1000 * seconds["small"]["odh"] / results["small_files"]
    to_copy, to_utf8 = wide["odh"] / wide["duckdb"], seconds["cp1252"]["odh"] / wide["odh"]
    fastest_dlt = min(seconds for name, seconds in wide.items() if name.startswith("dlt"))
    to_pandas, to_dlt = wide["pandas"] / wide["odh"], fastest_dlt / wide["odh"]
    return [
        ("at most 0.8 times the time of COPY, utf-8", f"{to_copy:.2f}", to_copy <= 0.8),
        ("no more memory than COPY, utf-8", f"{peak['odh'] / peak['duckdb']:.2f}", peak["odh"] <= peak["duckdb"]),
        ("at least 4 times as fast as pandas, utf-8", f"{to_pandas:.1f}", to_pandas >= 4),
        ("at least 1.3 times as fast as dlt at its fastest, utf-8", f"{to_dlt:.1f}", to_dlt >= 1.3),
        ("cp1252 in at most 1.5 times the time of utf-8", f"{to_utf8:.2f}", to_utf8 <= 1.5),
        ("at most 1.5 ms a small file", f"{each:.2f} ms", each <= 1.5),
    ]

"""The tables of docs/performance.md, from the results of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TITLES = {
    "odh": "OpenDataHub",
    "duckdb": "DuckDB COPY",
    "pandas": "pandas",
    "dlt": "dlt (pyarrow)",
    "dlt_reader": "dlt (its reader)",
}


Goal = tuple[str, str, bool]  # what is wanted, what was measured, whether it is met


def write_report(results: dict[str, Any], *, into_docs: bool) -> str:
    """Give the report of `make bench-ingest` as Markdown, and put it into its place in the docs."""
    text = _report(results)
    if into_docs:
        put_into_docs("bench-ingest", text)
    return text


def keep_results(results: dict[str, Any], text: str, target: Path, own: Path, benchmark: str) -> None:
    """Write results, show what they say, and put that into the docs where they are the project's own results."""
    target.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if target == own:
        put_into_docs(benchmark, text)
    print(text)


def put_into_docs(benchmark: str, text: str) -> None:
    """Replace what a benchmark wrote into the page the last time."""
    begin, end = f"<!-- {benchmark}: written by the command -->\n", f"<!-- {benchmark}: end -->\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    PAGE.write_text(before + begin + text + end + rest.split(end)[1], encoding="utf-8")


def goal_lines(goals: list[Goal]) -> list[str]:
    """Goals as a table."""
    rows = [f"| {goal} | {measured} | {'met' if met else '**missed**'} |" for goal, measured, met in goals]
    return ["| goal | measured | |", "|---|---:|---|", *rows]


def about_lines(results: dict[str, Any], repeats: int) -> list[str]:
    """When, from what and on what it was measured."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return [
        f"Medians of {repeats}; {results['started_at'][:10]}, commit"
        f" `{results['commit'][:12]}{results['commit'][40:]}`, {machine['cores']} cores of {machine['processor']},",
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, {versions}.",
        f"Load average of the machine {machine['load_before']} before and {machine['load_after']} after.",
        "",
    ]


def _report(results: dict[str, Any]) -> str:
    cases = results["cases"]
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
    lines += ["", *goal_lines(_goals(results)), "", *about_lines(results, len(cases["utf-8"]["odh"]["all_seconds"]))]
    return "\n".join(lines)


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "not read"
    return f"{one['seconds']:.1f} ({one['cpu_seconds']:.1f}; {one['peak_mib']:,})"


def _goals(results: dict[str, Any]) -> list[Goal]:
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
        ("at least 5 times as fast as pandas, utf-8", f"{to_pandas:.1f}", to_pandas >= 5),
        ("at least 4 times as fast as dlt at its fastest, utf-8", f"{to_dlt:.1f}", to_dlt >= 4),
        ("cp1252 in at most 1.5 times the time of utf-8", f"{to_utf8:.2f}", to_utf8 <= 1.5),
        ("at most 1.5 ms a small file", f"{each:.2f} ms", each <= 1.5),
    ]

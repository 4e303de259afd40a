"""The demonstration behind ``make demo``: the whole road on invented data, on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from catalog.session import Session, open_session
from catalog.settings import Settings, load_settings
from catalog.terminal import console, print_table
from ingestion.sample.generator import ensure_sample
from ingestion.sample.portal import running_portal

RUN = ("run", "accidents", "irve")  # they bring cog and jours_feries
QUERIES = {
    "Tests": """
        select domain, status, count(*) as tests from ops.quality_results
        where run_id = (select run_id from ops.quality_results order by tested_at desc limit 1)
        group by domain, status order by domain, status
    """,
    "Rows that could not be read, kept with their reason": """
        select table_name, source_file, source_line, reason, raw_text from ops.rejects order by all limit 5
    """,
    "gold.mart_accident_departement, the départements with most accidents": """
        select accident_year, departement_code, departement_name, accident_count, killed_count, accident_growth_ratio
        from gold.mart_accident_departement order by accident_count desc, departement_code, accident_year limit 6
    """,
}
NEXT_STEPS = """
Open the API:        .venv/bin/odh serve        then http://127.0.0.1:8000/curated
Ask in SQL:          .venv/bin/odh sql "select * from gold.mart_accident_departement limit 5"
Go live (real data): ODH_LAKE=./live .venv/bin/odh run     # the same road on www.data.gouv.fr, in a lake of its own
"""


def main() -> int:
    """Make the sample, serve it, run the pilot feeds against it and show what came out."""
    settings = load_settings()
    began = time.monotonic()
    folder = settings.lake.resolve() / "sample"
    ensure_sample(folder, scale=1, seed=0)
    with running_portal(folder) as url:
        console.print(f"Sample portal on {url}; lake in {settings.lake}")
        console.print(f"[bold]$ odh {' '.join(RUN)}[/bold]")
        environment = {**os.environ, "ODH_PORTAL_URL": url}
        code = subprocess.run([sys.executable, "-m", "odh", *RUN], env=environment, check=False).returncode
    if code == 0:
        _show(settings)
        console.print(f"The whole road took {time.monotonic() - began:.0f} s.")
        console.print(NEXT_STEPS, markup=False)
    return code


def _show(settings: Settings) -> None:
    with open_session(settings) as session:
        for title, query in QUERIES.items():
            _print_query(session, title, query)


def _print_query(session: Session, title: str, query: str) -> None:
    cursor = session.execute(query)
    print_table([column[0] for column in cursor.description or []], cursor.fetchall(), title=title)


if __name__ == "__main__":
    raise SystemExit(main())

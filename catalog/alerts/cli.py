"""The command about alerts."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.cli import Json


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command("alerts")(alerts)


def alerts(
    send: Annotated[bool, typer.Option("--send", help="Tell those who are set up to know, each alert once.")] = False,
    json: Json = False,
) -> None:
    """Show what must be looked into: failures, late data, failed tests, breaking changes, dead links."""
    from contextlib import closing
    from dataclasses import asdict

    from catalog.alerts.alert import ADVICE, TITLES
    from catalog.alerts.book import COMPUTED, Book
    from catalog.alerts.desk import Told, find_alerts, tell_people
    from catalog.clock import utc_now
    from catalog.ledger import Ledger
    from catalog.logs import configure_logs
    from catalog.settings import load_settings
    from catalog.terminal import console, print_json

    settings = load_settings()
    configure_logs(settings)
    if send:
        told = tell_people(settings, utc_now())
    else:
        with closing(Ledger(settings)) as ledger:
            noted = [one for one in Book(ledger).open_alerts() if one.kind not in COMPUTED]
            told = Told([*find_alerts(settings, ledger, utc_now()), *noted])
    if json:
        rows = [{**asdict(one), "severity": one.severity, "advice": ADVICE[one.kind]} for one in told.alerts]
        print_json({"alerts": rows, "told": told.opened, "recovered": told.over, "not_told": told.failed})
    else:
        for one in told.alerts:
            colour = "red" if one.severity == "error" else "yellow"
            console.print(f"[{colour}]{TITLES[one.kind]}[/{colour}]", end=" ")
            console.print(f"{one.subject}, since {one.since:%Y-%m-%d %H:%M} UTC", markup=False, soft_wrap=True)
            for line in (one.what, ADVICE[one.kind], one.link):
                if line:
                    console.print(f"  {line}", markup=False, soft_wrap=True)
        if not told.alerts:
            console.print("Nothing to look into.")
    if told.failed:
        raise typer.Exit(1)

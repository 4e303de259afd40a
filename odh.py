"""The ``odh`` command: it only assembles the components' sub-commands."""

from __future__ import annotations

import sys

import structlog
import typer

import api.cli
import catalog.alerts.cli
import catalog.cli
import catalog.quality.cli
import dashboards.cli
import ingestion.cli
from catalog.errors import OdhError, UsageError

app = typer.Typer(
    help="OpenDataHub SQL: French open data as historised, typed, tested SQL tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for component in (ingestion.cli, catalog.cli, catalog.quality.cli, catalog.alerts.cli, api.cli, dashboards.cli):
    component.register(app)


def main() -> None:
    """Run the command; exit 0 when all went well, 1 when something failed, 2 on misuse."""
    try:
        app()
    except OdhError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except Exception as error:
        structlog.get_logger().exception("command_crashed")
        sys.stderr.write(f"error: unexpected {type(error).__name__}: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

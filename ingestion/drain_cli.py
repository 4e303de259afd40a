"""The command that drains the log of pushed records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from catalog.cli import Json

if TYPE_CHECKING:
    from catalog.settings import Settings


def drain(
    watch: Annotated[bool, typer.Option("--watch", help="Go on draining as records come, until Ctrl-C.")] = False,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="With --watch: stop when standard input ends, as beside odh serve.")
    ] = False,
    json: Json = False,
) -> None:
    """Take pushed records from their log through raw, bronze, silver and gold into a release."""
    from catalog.errors import UsageError
    from catalog.logs import configure_logs
    from catalog.settings import load_settings

    settings = load_settings()
    configure_logs(settings)
    if until_eof and not watch:
        raise UsageError("--until-eof goes with --watch.")
    if watch and json:
        raise UsageError("--json prints one object at the end, and --watch has none; leave one of them out.")
    if watch:
        _watch(settings, until_eof)
    elif not _once(settings, json):
        raise typer.Exit(1)


def _watch(settings: Settings, until_eof: bool) -> None:
    import os
    import signal
    import sys
    import threading

    from ingestion.drain_watch import Watch

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if until_eof:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the gateway closes our input

        def await_end() -> None:
            sys.stdin.buffer.read()
            stop.set()

        threading.Thread(target=await_end, daemon=True).start()
        os.nice(10)  # who waits for an answer comes first
    Watch(settings, stop).run()


def _once(settings: Settings, json: bool) -> bool:
    from contextlib import closing

    from catalog.iceberg import Lakehouse
    from catalog.ledger import Ledger
    from catalog.push.backlog import backlog
    from catalog.push.receipts import unreleased_batches
    from catalog.terminal import console, print_json
    from ingestion.drain_watch import flush

    before = backlog(settings.push_log)
    with closing(Ledger(settings)) as ledger, closing(Lakehouse(settings)) as lakehouse:
        is_released = flush(settings, ledger, lakehouse)
        left = unreleased_batches(ledger)
    if json:
        print_json({"batches": before.batches, "bytes": before.bytes, "unreleased": left})
    else:
        console.print(f"{before.batches:,} batches drained; {left:,} in bronze wait for a release.")
    return is_released

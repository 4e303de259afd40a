"""The one alert no book can hold: the ledger is away, and the book of alerts with it. A note in the lake stands in."""

from __future__ import annotations

import fcntl
import json
from datetime import datetime
from pathlib import Path

import structlog

from catalog.alerts.alert import Alert, Kind
from catalog.alerts.book import Book, News
from catalog.alerts.channels import NotTold, channels
from catalog.alerts.message import subject_line, text
from catalog.settings import Settings

NOTE = "ledger-away.json"
log = structlog.get_logger()


def tell_of_ledger(settings: Settings, now: datetime, reason: str, link: str | None) -> None:
    """Tell every channel that was not told yet; one process of a machine at a time."""
    settings.lake.mkdir(parents=True, exist_ok=True)
    with _note(settings).open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        note = json.loads(stream.read() or json.dumps({"since": now.isoformat(), "told": [], "reason": reason}))
        alert = _alert(note, link)
        for channel, tell in channels(settings):
            if channel in note["told"]:
                continue
            news = News({0: alert}, {})
            try:
                tell(subject_line(news), text(news, settings.alert_docs_url))
            except NotTold as error:
                log.warning("alerts_not_told", channel=channel, reason=str(error))
            else:
                note["told"].append(channel)
        stream.truncate(0)
        stream.write(json.dumps(note))


def enter_into_book(settings: Settings, book: Book, now: datetime) -> None:
    """Write down that the ledger was away, and who was told; as nothing tells of it any more, it is then over."""
    path = _note(settings)
    if not path.is_file():
        return
    if note := json.loads(path.read_text() or "{}"):  # a kill may leave it empty: nobody was told then
        alert = _alert(note, None)
        book.open_one(alert, now)
        for channel in note["told"]:
            mine = {row: one for row, one in book.news(channel).opened.items() if one.fingerprint == alert.fingerprint}
            book.mark_told(channel, News(mine, {}), now)
    path.unlink()


def _note(settings: Settings) -> Path:
    return settings.lake / NOTE


def _alert(note: dict[str, str], link: str | None) -> Alert:
    return Alert(Kind.LEDGER_AWAY, "ledger", note["reason"], datetime.fromisoformat(note["since"]), link)

"""Alerts in words: one subject line and one text for all that a channel is told at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.alerts.alert import ADVICE, TITLES, Alert
from catalog.alerts.book import News

NAME = "OpenDataHub"
LONGEST = 600  # characters of one reason


def subject_line(news: News) -> str:
    """All of it in one line."""
    opened, over = list(news.opened.values()), list(news.over.values())
    parts = [opened[0].title if len(opened) == 1 else f"{len(opened)} alerts"] if opened else []
    if over:
        parts.append(_over(over[0]) if len(over) == 1 else f"{len(over)} recovered")
    return f"[{NAME}] {', '.join(parts)}"


def text(news: News, docs_url: str) -> str:
    """Each alert with what, since when and what to do; then what is over."""
    blocks = [_told(alert, docs_url) for alert in news.opened.values()]
    if news.over:
        blocks.append("\n".join(["Recovered", *(f"- {_over(alert)}: {_short(alert.what)}" for alert in _sorted(news))]))
    return "\n\n".join(blocks) + "\n"


def _over(alert: Alert) -> str:
    return f"{alert.subject}: recovered ({TITLES[alert.kind]})"


def _sorted(news: News) -> Sequence[Alert]:
    return sorted(news.over.values(), key=lambda one: one.fingerprint)


def _told(alert: Alert, docs_url: str) -> str:
    lines = [
        f"{alert.severity.upper()} · {alert.subject}: {TITLES[alert.kind]}",
        f"What: {_short(alert.what)}",
        f"Since: {alert.since:%Y-%m-%d %H:%M} UTC",
        f"To do: {ADVICE[alert.kind]} {docs_url}#{alert.kind.anchor}",
    ]
    return "\n".join([*lines, *([f"Link: {alert.link}"] if alert.link else [])])


def _short(what: str) -> str:
    plain = " ".join(what.split())
    return plain if len(plain) <= LONGEST else plain[:LONGEST] + "…"

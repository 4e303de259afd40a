"""Small pictures of distributions as inline SVG, drawn with the colours of the page they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 168, 34
ROW, LABEL = 14, 92


def histogram(name: str, bins: Sequence[Mapping[str, Any]]) -> str:
    """Bars of the counts of consecutive bins (``low``, ``high``, ``count``); nothing without bins."""
    if not bins:
        return ""
    highest = max(1, *(one["count"] for one in bins))
    step = WIDTH / len(bins)
    bars = "".join(
        _bar(number * step, HEIGHT - height, step - 1, height, f"{one['low']} to {one['high']}: {one['count']:,}")
        for number, one in enumerate(bins)
        for height in [HEIGHT * one["count"] / highest]
    )
    told = f"Distribution of {name} from {bins[0]['low']} to {bins[-1]['high']}; the largest bin holds {highest:,} rows"
    return _svg(WIDTH, HEIGHT, told, bars)


def ranking(name: str, top: Sequence[Sequence[Any]]) -> str:
    """One bar a value, its text and its count beside it; nothing without values."""
    if not top:
        return ""
    highest = max(1, *(count for _, count in top))
    rows = "".join(_ranked(number, str(value), count, highest) for number, (value, count) in enumerate(top))
    told = f"Commonest values of {name}: " + ", ".join(f"{value} ({count:,})" for value, count in top)
    return _svg(LABEL + WIDTH, ROW * len(top), told, rows)


def _ranked(number: int, value: str, count: int, highest: int) -> str:
    y = ROW * number
    text = f'<text x="0" y="{y + ROW - 3}">{escape(_cut(value or "(empty)"))}</text>'
    length = (WIDTH - 50) * count / highest
    amount = f'<text x="{LABEL + length + 4:.1f}" y="{y + ROW - 3}">{count:,}</text>'
    return text + _bar(LABEL, y + 2, length, ROW - 4, f"{value}: {count:,}") + amount


def _bar(x: float, y: float, width: float, height: float, told: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0.5):.1f}"'
    return f"<rect {place}><title>{escape(told)}</title></rect>"


def _svg(width: int, height: int, told: str, content: str) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg {size} role="img" aria-label="{escape(told)}">{content}</svg>'


def _cut(text: str, most: int = 15) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

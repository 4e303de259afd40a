"""Pieces of HTML the pages are made of: tables, badges and figures in large; they ask nothing of any server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dashboards.texts import Texts

MOST_ROWS = 200
SIGNS = {  # never a colour alone
    "fine": "●",
    "warned": "▲",
    "failed": "■",
    "never": "○",
    "disabled": "–",
    "succeeded": "●",
    "running": "◐",
    "interrupted": "■",
    "pass": "●",
    "warn": "▲",
    "fail": "■",
    "error": "■",
    "skipped": "–",
    "stored": "●",
    "unchanged": "○",
    "safe": "●",
    "breaking": "■",
}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def style() -> str:
    """The style sheet of the pieces."""
    return f"<style>{Path(__file__).with_name('style.css').read_text('utf-8')}</style>"


def spoken(language: str) -> str:
    """A script that says which language the document is in: Streamlit's says English, and is read aloud as such."""
    return f"<script>document.documentElement.lang = '{escape(language)}'</script>"


def badge(kind: str, text: str) -> Markup:
    """A state: a sign, a word and a colour."""
    sign = f'<span aria-hidden="true">{SIGNS.get(kind, "●")}</span>'
    return Markup(f'<span class="badge {escape(kind)}">{sign} {escape(text)}</span>')


def link(address: str, text: str) -> Markup:
    """A link within the dashboard, or to http(s); anything else is text."""
    if not address.startswith(("http://", "https://", "./")):
        return Markup(escape(text))
    where = ' target="_self"' if address.startswith("./") else ' target="_blank" rel="noopener noreferrer"'
    return Markup(f'<a href="{escape(address)}"{where}>{escape(text)}</a>')


def code(text: str) -> Markup:
    """Text as it stands in a file."""
    return Markup(f"<code>{escape(text)}</code>")


def tiles(found: Iterable[tuple[str, str, str, str]]) -> str:
    """Figures in large: each a heading, a figure, a word beside it and a state (or nothing)."""
    listed = "".join(
        f'<li class="{escape(state)}"><span class="label">{escape(label)}</span>'
        f'<span class="figure">{escape(figure)}</span><span class="note">{escape(note)}</span></li>'
        for label, figure, note, state in found
    )
    return f'<ul class="tiles">{listed}</ul>'


def facts(found: Iterable[tuple[str, str | Markup]]) -> str:
    """Names and what they are, side by side."""
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{_cell(value, None)}</dd></div>" for name, value in found)
    return f'<dl class="facts">{listed}</dl>'


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str, texts: Texts) -> str:
    """A table that a screen reader can walk; numbers stand right. The caption is for those who do not see it."""
    content = list(rows)
    sides = ['class="n"' if _is_numeric(content, place) else "" for place in range(len(columns))]
    head = "".join(f'<th scope="col" {side}>{escape(name)}</th>' for name, side in zip(columns, sides, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td {side}>{_cell(v, texts)}</td>" for v, side in zip(row, sides, strict=True)) + "</tr>"
        for row in content
    )
    told = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{told}"><table><caption>{told}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _is_numeric(rows: Sequence[Sequence[Any]], place: int) -> bool:
    given = [row[place] for row in rows if row[place] is not None]
    return bool(given) and all(isinstance(value, int | float) for value in given)


def _cell(value: Any, texts: Texts | None) -> str:
    if isinstance(value, Markup):
        return value
    if value is None:
        return '<span class="dim">–</span>'
    if isinstance(value, int | float) and not isinstance(value, bool) and texts:
        return escape(texts.number(value, 0 if isinstance(value, int) or value == int(value) else 2))
    return escape(str(value))

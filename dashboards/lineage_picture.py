"""From the portal to gold as one picture: columns of tables, and lines between what is made from what."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape

GAP, ROW, BOX, TOP = 38, 29, 22, 30
COLOURS = {"portal": "#4b6fa5", "raw": "#5b6b7d", "bronze": "#b0713b", "silver": "#7f8ea3", "gold": "#c99b1d"}
LAYERS = tuple(COLOURS)
WIDTHS = {"portal": 150, "raw": 128, "bronze": 196, "silver": 236, "gold": 236}
LEFT = {layer: sum(WIDTHS[one] + GAP for one in LAYERS[:number]) for number, layer in enumerate(LAYERS)}
CHARACTER = 6.4  # pixels of one, about
STYLE = """
svg { font: 12px "Source Sans", "Source Sans 3", ui-sans-serif, system-ui, sans-serif; color: #31333f }
text { fill: currentColor } .head { font-weight: 650; fill-opacity: .75 }
path { fill: none; stroke: currentColor; stroke-opacity: .25; stroke-width: 1.4 }
rect { fill-opacity: .16; stroke-width: 1.2 }
@media (prefers-color-scheme: dark) { svg { color: #fafafa } rect { fill-opacity: .35 } }
"""


def layer_of(name: str) -> str:
    """The layer of a table, by its name."""
    if name.startswith("stg_"):
        return "silver"
    return "gold" if name.startswith(("dim_", "fct_", "mart_")) or "__" not in name else "bronze"


def columns_of(edges: Sequence[Mapping[str, str]], bronze: Iterable[str]) -> dict[str, list[str]]:
    """Tables by layer, each near those it is made from, so that lines cross little."""
    names = dict.fromkeys([*bronze, *(edge[end] for edge in edges for end in ("source", "target"))])
    parents: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        parents[edge["target"]].append(edge["source"])
    found: dict[str, list[str]] = {layer: [] for layer in ("bronze", "silver", "gold")}
    place: dict[str, float] = {}
    for layer, members in found.items():
        waiting = sorted(name for name in names if layer_of(name) == layer)
        middle = {name: _mean([place[one] for one in parents[name] if one in place]) for name in waiting}
        members += sorted(waiting, key=lambda name: (middle[name], _kind(name), name))
        place.update({name: number / max(1, len(members)) for number, name in enumerate(members)})
    return found


def draw(
    source: str, files: str, edges: Sequence[Mapping[str, str]], bronze: Sequence[str], told: Mapping[str, str]
) -> str:
    """The picture as HTML; its words are in it, and ``told`` heads the columns.

    Args:
        source: what is followed on the portal.
        files: what raw holds of it.
        told: heading by layer, and ``title`` for the whole.
    """
    columns: dict[str, list[str]] = {"portal": [source], "raw": [files], **columns_of(edges, bronze)}
    height = TOP + ROW * max(len(names) for names in columns.values())
    at: dict[str, tuple[float, float]] = {}
    for layer, names in columns.items():
        first = TOP + (height - TOP - ROW * len(names)) / 2
        at.update({f"{layer}:{name}": (LEFT[layer], first + ROW * row) for row, name in enumerate(names)})
    ways = [("portal:" + source, "raw:" + files), *(("raw:" + files, "bronze:" + name) for name in columns["bronze"])]
    ways += [(f"{layer_of(e['source'])}:{e['source']}", f"{layer_of(e['target'])}:{e['target']}") for e in edges]
    lines = "".join(
        _line(at[a], WIDTHS[a.split(":")[0]], at[b], WIDTHS[b.split(":")[0]]) for a, b in ways if a in at and b in at
    )
    boxes = "".join(_box(key.split(":", 1)[1], key.split(":", 1)[0], *place) for key, place in at.items())
    heads = "".join(
        f'<text class="head" x="{LEFT[layer] + 4}" y="16">{escape(told[layer])}</text>' for layer in columns
    )
    width = LEFT["gold"] + WIDTHS["gold"] + 30
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>{lines}{boxes}{heads}</svg>'
    address = "data:image/svg+xml;base64," + b64encode(picture.encode()).decode()  # pages let no other SVG in
    title = escape(told["title"])
    return (
        f'<div class="lineage" tabindex="0" role="region" aria-label="{title}">'
        f'<img src="{address}" alt="{title}" width="{width}" height="{height}"></div>'
    )


def _box(name: str, layer: str, x: float, y: float) -> str:
    width, colour = WIDTHS[layer], COLOURS[layer]
    most = int((width - 14) / CHARACTER)
    shown = name if len(name) <= most else name[: most - 1] + "…"
    return (
        f'<g><title>{escape(name)}</title><rect x="{x:.0f}" y="{y:.0f}" width="{width}" height="{BOX}" rx="5"'
        f' fill="{colour}" stroke="{colour}"></rect><text x="{x + 9:.0f}" y="{y + 15:.0f}">{escape(shown)}</text></g>'
    )


def _line(start: tuple[float, float], width: int, end: tuple[float, float], other: int) -> str:
    x0, y0, x1, y1 = start[0] + width, start[1] + BOX / 2, end[0], end[1] + BOX / 2
    if x1 <= x0:  # two tables of one layer: around their right side
        x1, bow = end[0] + other, x0 + 30
        return f'<path d="M{x0:.0f},{y0:.0f} C{bow:.0f},{y0:.0f} {bow:.0f},{y1:.0f} {x1:.0f},{y1:.0f}"></path>'
    middle = (x0 + x1) / 2
    return f'<path d="M{x0:.0f},{y0:.0f} C{middle:.0f},{y0:.0f} {middle:.0f},{y1:.0f} {x1:.0f},{y1:.0f}"></path>'


def _kind(name: str) -> int:
    return next((number for number, kind in enumerate(("dim_", "fct_", "mart_")) if name.startswith(kind)), 0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0

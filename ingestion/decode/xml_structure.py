"""Finds the tables in an XML document: a first pass counts its elements by path, then each one that repeats is a table.

An element repeats when one parent holds two of it. What it holds once becomes columns of its row; what repeats within
it is a table of its own. Elements are known by their whole name, and named without their namespace prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from catalog.errors import NotATable, Refused
from ingestion.decode.xml_events import local_name, parse_events

MAX_PATHS, MAX_TABLES = 5_000, 200
_DEPTH_PENALTY = 10  # how many times more often an inner element must repeat to be the main one
_NO_DATA = ("schemaLocation", "noNamespaceSchemaLocation")
Attributes = dict[str, str]


@dataclass(eq=False, slots=True)
class Node:
    """All the elements of one path; ``most`` is how many of them one parent holds at most."""

    name: str
    parent: Node | None
    children: dict[str, Node] = field(default_factory=dict)
    attributes: dict[str, int] = field(default_factory=dict)  # name → position of its column, once planned
    count: int = 0
    most: int = 0
    ids: int = 0
    has_text: bool = False
    is_mixed: bool = False
    text_at: int = -1
    table: Table | None = None

    @property
    def label(self) -> str:
        """The name without its prefix."""
        return local_name(self.name)

    def path(self) -> list[Node]:
        """The nodes from the root to this one."""
        return [*(self.parent.path() if self.parent else []), self]


@dataclass(eq=False, slots=True)
class Table:
    """The table of the elements of one path: its columns, the links to the rows that hold its rows first."""

    node: Node
    member: str = ""
    headers: list[str] = field(default_factory=list)
    ancestors: list[Node] = field(default_factory=list)


def is_data(attribute: str) -> bool:
    """Whether an attribute is one of the data's: no namespace, no schema."""
    return not attribute.startswith("xmlns") and local_name(attribute) not in _NO_DATA


def survey(stream: IO[bytes], encoding: str | None) -> Node:
    """Count the elements of a document by path, and give its root.

    Raises:
        NotXml: when it is not well-formed.
        Refused: when it is a page or a picture, or has more paths than a table has columns.
    """
    surveyor = _Surveyor()
    for _ in parse_events(stream, start=surveyor.start, end=surveyor.end, text=surveyor.text, encoding=encoding):
        pass
    return surveyor.top.children[next(iter(surveyor.top.children))]


class _Surveyor:
    def __init__(self) -> None:
        self.top = Node("", None)
        self._node = self.top
        self._paths = 0
        self._open: list[tuple[dict[str, int], list[bool]]] = [({}, [False])]  # children by name; whether it has text

    def start(self, name: str, attributes: Attributes) -> None:
        counts = self._open[-1][0]
        counts[name] = counts.get(name, 0) + 1
        node = self._node.children.get(name) or self._new_node(name)
        node.count += 1
        node.most = max(node.most, counts[name])
        for attribute in attributes:
            if attribute not in node.attributes and is_data(attribute):
                self._add_path()
                node.attributes[attribute] = -1
        node.ids += 1 if attributes.get("id") else 0
        self._node = node
        self._open.append(({}, [False]))

    def _new_node(self, name: str) -> Node:
        if self._node is self.top:
            _refuse_other_documents(name)
        self._add_path()
        node = self._node.children[name] = Node(name, self._node if self._node is not self.top else None)
        return node

    def _add_path(self) -> None:
        self._paths += 1
        if self._paths > MAX_PATHS:
            raise Refused(f"This XML has more than {MAX_PATHS:,} kinds of elements and attributes: it is no table.")

    def text(self, data: str) -> None:
        if not data.isspace():
            self._open[-1][1][0] = True

    def end(self, _: str) -> None:
        children, (has_text,) = self._open.pop()
        self._node.has_text |= has_text
        self._node.is_mixed |= has_text and bool(children)
        self._node = self._node.parent or self.top


def _refuse_other_documents(root: str) -> None:
    label = local_name(root).lower()
    if label in ("html", "svg"):
        raise NotATable(f"This is {'an HTML page' if label == 'html' else 'an SVG image'}: not a table.")


def plan_tables(root: Node) -> list[Table]:
    """Lay out the tables of a document, the main one first; number the columns in the nodes.

    Raises:
        Refused: when no element repeats.
    """
    repeating = list(_repeating(root, 0))
    if not repeating:
        raise Refused(
            f"This XML has no element that repeats ({root.label} holds one of each): there is no table in it."
        )
    if len(repeating) > MAX_TABLES:
        raise Refused(f"This XML has {len(repeating)} kinds of repeating elements: above {MAX_TABLES} it is not read.")
    main = max(repeating, key=lambda found: found[0].most / _DEPTH_PENALTY ** found[1])[0]
    nodes = [main, *(node for node, _ in repeating if node is not main), root]
    for node in nodes:
        node.table = Table(node)
    tables = [_lay_out(node, main) for node in nodes]
    return tables if tables[-1].headers else tables[:-1]


def _repeating(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    """The nodes that repeat, and within how many others that do."""
    if node.is_mixed:
        return
    for child in node.children.values():
        if child.most > 1:
            yield child, depth
        yield from _repeating(child, depth + (child.most > 1))


def _lay_out(node: Node, main: Node) -> Table:
    table = node.table or Table(node)
    path = node.path()
    table.ancestors = [one for one in path[1:-1] if one.table]
    for one in table.ancestors:
        table.headers += [f"{one.label}_id"] * has_ids(one) + [f"{one.label}_number"]
    table.member = "/".join(one.label for one in (path[path.index(main) + 1 :] if main in path else path))
    _add_columns(node, table.headers, "", is_row=True)
    return table


def has_ids(node: Node) -> bool:
    """Whether every element of a path has an identifier."""
    return node.ids == node.count


def _add_columns(node: Node, headers: list[str], prefix: str, *, is_row: bool = False) -> None:
    """Give a column to each attribute, to the text, and to what the element holds once."""
    inner = prefix if is_row else f"{prefix}{node.label}_"
    for attribute in node.attributes:
        node.attributes[attribute] = len(headers)
        headers.append(f"{inner}{local_name(attribute)}")
    children = {} if node.is_mixed else node.children
    if node.has_text or not (children or node.attributes):
        node.text_at = len(headers)
        headers.append(f"{prefix}{node.label}")
    for child in children.values():
        if not child.table:
            _add_columns(child, headers, inner)

"""Decodes an XML document into its tables: the main repeating element, and those that repeat within it or beside it.

The document is read twice, in a stream: once to find its tables, once to write their rows to files under scratch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from catalog.errors import Refused
from catalog.names import column_names
from ingestion.decode.scratch_rows import RowWriter, row_writer, scan_rows
from ingestion.decode.table import DecodedTable, Source
from ingestion.decode.text import Utf8Text
from ingestion.decode.xml_events import NotXml, parse_events
from ingestion.decode.xml_structure import Attributes, Node, Table, has_ids, plan_tables, survey

_DECLARED = re.compile(r"""<\?xml\b[^>]*?\bencoding\s*=\s*["']([\w.:-]+)""")


@dataclass(frozen=True, slots=True)
class _Document:
    """A way to read a document: its bytes, what to read them in whatever they declare, and what that is called."""

    path: Path
    offset: int
    forced: str | None
    encoding: str


def decode_xml(source: Source, text: Utf8Text) -> Iterator[DecodedTable]:
    """Decode one XML document, the table of its main element first.

    Args:
        source: the document as published: its own declaration of encoding is obeyed.
        text: the same in UTF-8, for a declaration that its bytes contradict.

    Raises:
        NotATable: when it is a page or a picture.
        Refused: when it is not well-formed, declares entities, or holds no repeating element.
    """
    document, root = _open(source, text)
    tables = plan_tables(root)
    files = {table.node: source.new_file(".csv") for table in tables}
    with ExitStack() as stack:
        writers = {node: stack.enter_context(row_writer(path)) for node, path in files.items()}
        reader = _RowReader(root, writers, {table.node: table for table in tables})
        _parse(document, reader)
    names: set[str] = set()
    for table in tables:
        member = _member(source, table, names, is_main=table is tables[0])
        yield _decoded(source, table, files[table.node], writers[table.node].rows, member, document.encoding)


def _open(source: Source, text: Utf8Text) -> tuple[_Document, Node]:
    declared = _DECLARED.match(text.head(1000).lstrip())
    encoding = declared[1].lower() if declared else text.encoding
    as_found = _Document(text.path, text.bom_bytes, "utf-8", text.encoding)
    as_declared = _Document(source.path, 0, None, encoding)
    # Accents that are right in UTF-8 are no accident: another declaration would break each of them.
    is_utf8 = text.encoding in ("utf-8", "utf-8-sig") and not encoding.startswith("utf") and not _is_ascii(source.path)
    error: NotXml | None = None
    for document in [as_found] if is_utf8 else [as_declared, as_found]:
        try:
            return document, _survey(document)
        except NotXml as one:
            error = error or one
    raise Refused(f"This XML is not well-formed: {error}. It may have been cut: download it again.") from error


def _survey(document: _Document) -> Node:
    with document.path.open("rb") as stream:
        stream.seek(document.offset)
        return survey(stream, document.forced)


def _is_ascii(path: Path) -> bool:
    with path.open("rb") as file:
        return all(block.isascii() for block in iter(lambda: file.read(1 << 20), b""))


def _parse(document: _Document, reader: _RowReader) -> None:
    with document.path.open("rb") as stream:
        stream.seek(document.offset)
        encoding = document.forced
        for _ in parse_events(stream, start=reader.start, end=reader.end, text=reader.text, encoding=encoding):
            pass


def _member(source: Source, table: Table, names: set[str], *, is_main: bool) -> str | None:
    """The file's own name for the main table; the path of the element after it for the others."""
    if is_main:
        return source.member
    name, copy = table.member, 1
    while name in names:
        copy += 1
        name = f"{table.member}_{copy}"
    names.add(name)
    return f"{source.member}/{name}" if source.member else name


def _decoded(source: Source, table: Table, path: Path, rows: int, member: str | None, encoding: str) -> DecodedTable:
    columns = column_names(table.headers)
    element = "/".join(node.label for node in table.node.path())
    facts = {**source.facts, "kind": "xml", "encoding": encoding, "element": element}
    frame = scan_rows(path, columns, width=len(columns))
    return DecodedTable(member, table.headers, columns, frame, rows, [], facts)


class _RowReader:
    """Writes the row of each repeating element once it closes, from the document's events."""

    def __init__(self, root: Node, writers: dict[Node, RowWriter], tables: dict[Node, Table]):
        self._writers, self._tables = writers, tables
        self._top = Node("", None, {root.name: root})
        self._node = self._top
        self._rows: list[tuple[Node, list[str]]] = []
        self._numbers = dict.fromkeys(tables, 0)
        self._ids: dict[Node, str] = {}
        self._pieces: list[list[str]] = []  # of the text of each element that is open
        self._depth = 0  # within an element of mixed content, which is kept as XML
        self._is_xml = False  # whether the element of mixed content that is open holds elements

    def start(self, name: str, attributes: Attributes) -> None:
        if self._depth or self._node.is_mixed:
            written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
            if not self._is_xml:
                self._pieces[-1] = [*map(escape, self._pieces[-1])]
            self._is_xml, self._depth = True, self._depth + 1
            self._pieces[-1].append(f"<{name}{written}>")
            return
        node = self._node = self._node.children[name]
        if node in self._tables:
            self._open_row(node, attributes)
        row = self._rows[-1][1] if self._rows else []
        for attribute, value in attributes.items():
            at = node.attributes.get(attribute, -1)
            if at >= 0:
                row[at] = value
        self._pieces.append([])

    def _open_row(self, node: Node, attributes: Attributes) -> None:
        table = self._tables[node]
        self._numbers[node] += 1
        self._ids[node] = attributes.get("id", "")
        row = [""] * len(table.headers)
        at = 0
        for ancestor in table.ancestors:
            if has_ids(ancestor):
                row[at] = self._ids[ancestor]
                at += 1
            row[at] = str(self._numbers[ancestor])
            at += 1
        self._rows.append((node, row))

    def text(self, data: str) -> None:
        if self._is_xml:
            self._pieces[-1].append(escape(data))
        elif self._node.text_at >= 0:
            self._pieces[-1].append(data)

    def end(self, name: str) -> None:
        if self._depth:
            self._depth -= 1
            self._pieces[-1].append(f"</{name}>")
            return
        node, pieces = self._node, self._pieces.pop()
        if node.text_at >= 0 and self._rows:
            text = "".join(pieces)
            is_layout = bool(node.children) and text.isspace()
            self._rows[-1][1][node.text_at] = "" if is_layout else text
        self._is_xml = False
        if node in self._tables:
            _, row = self._rows.pop()
            self._writers[node].write(self._numbers[node], row)
        self._node = node.parent or self._top

"""From a local raw file to text tables: `decode` decides what a file is and hands it to the decoder of its kind.

What each format becomes, and every limit, is in `docs/formats.md`. A decoder takes a `Source` (and its text) and
yields `DecodedTable` or `RefusedMember`; a new format is one more module and one more line in `_decode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from catalog.errors import NotATable, Refused
from ingestion.decode import kinds
from ingestion.decode.archives import gunzip, unzip
from ingestion.decode.delimited import decode_delimited
from ingestion.decode.json_records import decode_json
from ingestion.decode.json_text import NotJson
from ingestion.decode.kinds import unread
from ingestion.decode.table import DecodedTable, RefusedMember, RejectedRow, Source
from ingestion.decode.text import open_text

__all__ = ["DecodedTable", "RefusedMember", "RejectedRow", "decode"]

_HEAD_BYTES = 4096
Decoded = Iterator[DecodedTable | RefusedMember]


def decode(
    path: Path, *, file_name: str, declared_format: str | None, scratch: Path, pad_ragged: bool = False
) -> Decoded:
    """Read a raw file as tables, one per file or archive member; nothing is read before the first is asked for.

    Args:
        path: the file, which must stay as long as the frames are in use.
        file_name: the name it was published under.
        declared_format: the format its publisher declares; used only where the content does not decide.
        scratch: folder for working files; empty it when done with the frames.
        pad_ragged: keep the records that have fewer or more fields than the header, instead of rejecting them.

    Raises:
        NotATable: when it is a document, a picture, a page or a program.
        Refused: when no part of the file can become a table.
    """
    yield from _decode(Source(path, file_name, declared_format, scratch, pad_ragged=pad_ragged))


def _decode(source: Source) -> Decoded:
    with source.path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise Refused("The file is empty.")
    kind = kinds.kind_of_bytes(head)
    if kind == kinds.ZIP:
        return _decode_members(source)
    if kind == kinds.GZIP:
        return _decode(_gunzipped(source))
    if kind != kinds.TEXT:
        raise unread(kind)
    return _decode_text(source)


def _gunzipped(source: Source) -> Source:
    if "container" in source.facts:
        raise Refused("It is an archive within an archive: not read yet.")
    return gunzip(source)


def _decode_members(source: Source) -> Decoded:
    if "container" in source.facts:
        raise Refused("It is an archive within an archive: not read yet.")
    refused: list[RefusedMember] = []
    count = 0
    for member in unzip(source):
        count += 1
        try:
            for decoded in [member] if isinstance(member, RefusedMember) else _decode(member):
                refused += [decoded] if isinstance(decoded, RefusedMember) else []
                yield decoded
        except Refused as error:
            refused.append(RefusedMember(member.member, str(error), isinstance(error, NotATable)))
            yield refused[-1]
    if len(refused) == count:
        reasons = " ".join(f"{one.member}: {one.reason}" for one in refused[:5]) or "It holds no file."
        raise Refused(f"No member of this archive can become a table. {reasons}")


def _decode_text(source: Source) -> Decoded:
    text = open_text(source)
    document = kinds.kind_of_text(text.head(_HEAD_BYTES))
    if document:
        raise unread(document)
    if kinds.may_be_json(text.head(_HEAD_BYTES)):
        try:
            return iter([decode_json(source, text)])
        except NotJson as error:
            if not kinds.is_named_as_csv(source.file_name, source.declared_format):
                raise Refused(f"It begins as JSON and is not: {error}. It may have been cut.") from error
    return iter([decode_delimited(source, text)])

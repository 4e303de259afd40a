"""Reads XML as a stream of events, and trusts none of it: no entity is fetched or expanded, no depth is without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO
from xml.parsers import expat

from catalog.errors import Refused

BLOCK_BYTES = 1 << 16  # of thousands of rows that each reach the last column, held until the block ends
MAX_DEPTH = 256
Start = Callable[[str, dict[str, str]], None]


class NotXml(ValueError):
    """The text is not well-formed XML, or is cut; the message says where."""


def local_name(name: str) -> str:
    """A name without its namespace prefix."""
    return name.rpartition(":")[2] if ":" in name else name


def parse_events(
    stream: IO[bytes],
    *,
    start: Start,
    end: Callable[[str], None],
    text: Callable[[str], None],
    encoding: str | None = None,
) -> Iterator[int]:
    """Parse a stream block by block, calling the handlers; yield the bytes read after each block.

    Args:
        stream: the document.
        start: called with the name, prefix included, and the attributes of each element that opens.
        end: called with the name of each element that closes.
        text: called with the text between them, in one or more pieces.
        encoding: what to read it in whatever it declares; ``None`` obeys the declaration.

    Raises:
        NotXml: when it is not well-formed.
        Refused: when it declares entities, or is nested too deep.
    """
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    depth = 0

    def deeper(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Refused(f"This XML is nested more than {MAX_DEPTH} deep: not read.")
        start(name, attributes)

    def shallower(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(name)

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = deeper, shallower, text
    parser.EntityDeclHandler, parser.SkippedEntityHandler = _refuse_declared, _refuse_unknown
    size = 0
    while block := stream.read(BLOCK_BYTES):
        size += len(block)
        _feed(parser, block, is_last=False)
        yield size
    _feed(parser, b"", is_last=True)
    yield size


def _feed(parser: expat.XMLParserType, block: bytes, *, is_last: bool) -> None:
    try:
        parser.Parse(block, is_last)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise NotXml(f"{reason}, at line {error.lineno}, column {error.offset}") from error
    except (LookupError, ValueError) as error:  # an encoding that nobody knows, or of several bytes a character
        raise NotXml(str(error)) from error


def _refuse_declared(name: str, *_: object) -> None:
    raise Refused(f"This XML declares an entity ({name[:40]!r}): it is not read, for entities may be a bomb.")


def _refuse_unknown(name: str, *_: object) -> None:
    raise Refused(f"This XML uses an entity ({name[:40]!r}) that another file declares: its text would be lost.")

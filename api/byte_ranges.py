"""Which part of a file a request wants, and whether it has it already: RFC 9110's ranges and conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int


class NotSatisfiable(Exception):
    """No byte of the file lies in the range."""


def is_known(headers: Headers, etag: str) -> bool:
    """Whether the client has these very bytes, as ``If-None-Match`` says."""
    given = headers.get("if-none-match")
    return given is not None and (given.strip() == "*" or etag in _TAG.findall(given))


def wanted_range(headers: Headers, etag: str, size: int) -> ByteRange | None:
    """The one range asked for; None for the whole: none or several asked, malformed, or of other bytes (If-Range).

    Raises:
        NotSatisfiable: it begins after the end.
    """
    found = _ONE_RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", etag).strip() != etag:  # a weak tag or a date never is
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise NotSatisfiable
    return ByteRange(start, end)

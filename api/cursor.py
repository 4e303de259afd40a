"""The opaque place in a result from which the next page goes on, and the snapshot it is a place in.

A token is no secret and grants nothing: it names a snapshot, which must be one readers may have, and a place in it. Its
digest, keyed where ``ODH_API_SECRET`` is set, binds it to the table, the filters and the sorts it was made for, and
tells one that was cut or altered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from api.filters import Filter
from api.grammar import RowQuery
from catalog.errors import UsageError

_FIELDS = struct.Struct(">qqq")
_DIGEST_BYTES = 8
NO_ROW = -1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a result.

    ``offset`` counts the rows before it; ``row`` is the number, in the table, of the last of them, where it is known:
    from there on the next page costs the same at any depth.
    """

    snapshot_id: int
    offset: int
    row: int | None = None

    def token(self, about: bytes) -> str:
        """Write it for one query, ``about`` of ``subject``."""
        content = _FIELDS.pack(self.snapshot_id, self.offset, NO_ROW if self.row is None else self.row)
        return base64.urlsafe_b64encode(content + _digest(content, about)).decode().rstrip("=")


def subject(
    secret: SecretStr | None, table: tuple[str | None, ...], conditions: Sequence[Filter], query: RowQuery
) -> bytes:
    """What a cursor belongs to: a table, the rows of it that are asked for, and their order."""
    asked = repr((table, tuple(conditions), query.sorts, query.groups, query.aggregates)).encode()
    key = hashlib.sha256(secret.get_secret_value().encode()).digest() if secret else b""
    return hashlib.blake2b(asked, key=key).digest()


def read_cursor(token: str, about: bytes) -> Cursor:
    """Read a token.

    Raises:
        UsageError: it is none, or belongs to another query.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        content, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
        snapshot_id, offset, row = _FIELDS.unpack(content)
    except (binascii.Error, struct.error, ValueError) as error:
        raise UsageError(f"cursor={token[:60]!r} is no cursor; take one from links.next of a page.") from error
    if digest != _digest(content, about) or offset < 0:
        raise UsageError(
            f"cursor={token[:60]!r} belongs to another table, filter or sort, or was altered; begin again without it."
        )
    return Cursor(snapshot_id, offset, None if row == NO_ROW else row)


def _digest(content: bytes, about: bytes) -> bytes:
    return hashlib.blake2b(content, key=about, digest_size=_DIGEST_BYTES).digest()

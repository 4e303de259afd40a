"""Keys of the gateway: made, listed, found and revoked in the ledger, which keeps their hashes only.

A key is ``odh_<key id>_<secret>``; the secret is 256 bits of the system's randomness. Such a secret cannot be guessed
however fast its hash is computed, so the hash is plain SHA-256: the slow hashes made for passwords would cost every
request without making a key safer.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from catalog import schema
from catalog.errors import UnknownName, UsageError
from catalog.ledger import Ledger
from catalog.scopes import Scope

MARK = "odh"
SECRET_BYTES = 32
ID_BYTES = 5


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as the ledger knows it."""

    key_id: str
    name: str
    prefix: str
    hash: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def status(self, now: datetime) -> str:
        """``live``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "live"

    def is_hash_of(self, key: str) -> bool:
        """Whether a key is this one; takes as long whatever part of it is right."""
        return hmac.compare_digest(self.hash, _hash(key))


def key_id_of(key: str) -> str | None:
    """The id within a key, or None for a text that cannot be a key."""
    mark, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    is_whole = mark == MARK and len(key_id) == 2 * ID_BYTES and key_id.isalnum() and key_id.isascii() and secret
    return key_id if is_whole and len(key) < 128 else None


def create_key(
    ledger: Ledger, name: str, scopes: Iterable[Scope], now: datetime, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, which cannot be had again.

    Raises:
        UsageError: no scope, no name, or a live key of that name.
    """
    given = frozenset(scopes)
    if not name.strip() or not given:
        raise UsageError("A key needs a name and at least one scope: odh keys create NAME --scope curated:read.")
    key_id = secrets.token_hex(ID_BYTES)
    key = f"{MARK}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    made = ApiKey(key_id, name, f"{MARK}_{key_id}", _hash(key), given, now, expires_at, None, None)
    with ledger.begin() as connection:
        c = schema.api_keys.c
        namesakes = connection.execute(sa.select(schema.api_keys).where(c.name == name)).mappings()
        if any(_key(row).status(now) == "live" for row in namesakes):
            raise UsageError(f"There is a live key named {name!r}. Revoke it (odh keys revoke {name}) or take another.")
        values = {column.name: getattr(made, column.name) for column in c}
        connection.execute(schema.api_keys.insert().values({**values, "scopes": " ".join(sorted(given))}))
    return made, key


def list_keys(ledger: Ledger) -> list[ApiKey]:
    """Every key ever made, oldest first."""
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(schema.api_keys).order_by(schema.api_keys.c.created_at)).mappings()
        return [_key(row) for row in rows]


def find_key(ledger: Ledger, key_id: str) -> ApiKey | None:
    """One key by its id."""
    query = sa.select(schema.api_keys).where(schema.api_keys.c.key_id == key_id)
    with ledger.begin() as connection:
        row = connection.execute(query).mappings().first()
    return _key(row) if row else None


def revoke_key(ledger: Ledger, name_or_id: str, now: datetime) -> ApiKey:
    """End a key; the gateway refuses it some seconds later.

    Raises:
        UnknownName: no live key has that id or name.
    """
    live = [key for key in list_keys(ledger) if key.status(now) == "live"]
    for key in live:
        if name_or_id in (key.key_id, key.prefix, key.name):
            ended = schema.api_keys.update().where(schema.api_keys.c.key_id == key.key_id)
            with ledger.begin() as connection:
                connection.execute(ended.values(revoked_at=now))
            return key
    raise UnknownName("live key", name_or_id, [key.name for key in live])


def _hash(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    known = set(Scope)
    scopes = frozenset(Scope(scope) for scope in row["scopes"].split() if scope in known)  # others: of a later version
    return ApiKey(**{**row, "scopes": scopes})

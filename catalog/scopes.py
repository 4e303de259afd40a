"""What the gateway lets its callers do: the scopes of keys, and of callers without one."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a key lets its holder do."""

    STAGING_READ = "staging:read"
    CURATED_READ = "curated:read"
    RAW_READ = "raw:read"
    RESTRICTED_READ = "restricted:read"
    SQL_RUN = "sql:run"
    INGEST_WRITE = "ingest:write"
    ADMIN_READ = "admin:read"

    @property
    def meaning(self) -> str:
        """The scope in words."""
        return MEANINGS[self]


MEANINGS = {
    Scope.STAGING_READ: "tables of staging, and their schemas, histories and changes",
    Scope.CURATED_READ: "tables of curated, and their schemas, histories and changes",
    Scope.RAW_READ: "tables of raw and the raw files, but for restricted feeds",
    Scope.RESTRICTED_READ: "with raw:read or sql:run, the raw data of restricted feeds too",
    Scope.SQL_RUN: "POST /sql over every layer",
    Scope.INGEST_WRITE: "push records to the feeds that take them, and ask what became of them",
    Scope.ADMIN_READ: "stats, metrics and supervision of the service; the audit, in SQL",
}

PUBLIC = frozenset({Scope.STAGING_READ, Scope.CURATED_READ})  # what no key is needed for, unless settings say otherwise
ON_A_LAPTOP = frozenset(Scope) - {Scope.RESTRICTED_READ}  # where access is open


def read_scopes(text: str) -> frozenset[Scope]:
    """Scopes parted by spaces or commas.

    Raises:
        ValueError: one that does not exist.
    """
    given = text.replace(",", " ").split()
    if unknown := sorted(set(given) - set(Scope)):
        raise ValueError(f"there is no scope {unknown[0]!r}; there are {', '.join(Scope)}")
    return frozenset(Scope(scope) for scope in given)

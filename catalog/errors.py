"""Every error the lakehouse raises on purpose.

    OdhError
    ├── TransientError            worth another try: the network, a busy portal, a locked lake
    │   ├── PortalUnavailable     no usable answer from the portal
    │   ├── BadDownload           bytes that are not what was announced (cut, corrupt, a web page)
    │   ├── LakeBusy              another process is writing
    │   └── LedgerAway            the ledger's server gives no answer
    └── PermanentError            the same call will fail again
        ├── UsageError            what was asked does not exist or is malformed (exit 2, HTTP 404 or 422)
        │   ├── UnknownName       a feed, table, column or release that is not there
        │   ├── StatementRefused  SQL that is not run, or that failed, with the place at fault
    │   ├── InvalidSettings   an ODH_ variable that is unknown or malformed
        │   ├── InvalidFeed       a feed file that breaks its schema
        │   └── InvalidContract   a contract file that breaks its schema
        ├── Restricted            data that is there and is not served
        ├── AccessDenied          what a caller of the gateway may not do
        │   ├── KeyNeeded         no key, or one that is unknown, expired or revoked (HTTP 401)
        │   └── ScopeMissing      a key whose scopes do not cover it (HTTP 403)
        ├── ResourceGone          the portal says 404 or 410 for good
        ├── Refused               a file that cannot become a table, with the reason
        │   └── NotATable         a document, a picture, a page or a program: no data was there to read
        └── BuildFailed           dbt could not build or test a domain

A message says what happened, to which identifier, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class OdhError(Exception):
    """Root of the errors raised on purpose."""


class TransientError(OdhError):
    """Worth another try, later or at once."""


class PortalUnavailable(TransientError):
    """The portal gave no usable answer after every retry."""


class BadDownload(TransientError):
    """The bytes received are not the file that was announced."""


class LakeBusy(TransientError):
    """Another process holds the lock needed to write."""


class LedgerAway(TransientError):
    """The server of the ledger gives no answer."""


class PermanentError(OdhError):
    """The same call will fail again."""


class UsageError(PermanentError):
    """What was asked for is malformed or does not exist."""


class UnknownName(UsageError):
    """A name that is not there, with the nearest that is.

    Args:
        kind: what the name stands for, such as ``feed`` or ``table``.
        name: the name asked for.
        known: the names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        close = get_close_matches(name, self.known, n=1, cutoff=0.5) or [
            one for one in self.known if name and name in one
        ]
        self.nearest = next(iter(close), None)
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        listed = ", ".join(self.known[:20]) + (", …" if len(self.known) > 20 else "") if self.known else "none"
        super().__init__(f"There is no {kind} named {name!r}.{hint} Known: {listed}.")


class StatementRefused(UsageError):
    """A statement of SQL that is not run, or that failed.

    Args:
        kind: ``syntax``, ``unknown`` (a name), ``refused``, ``restricted``, ``failed`` or ``limit``.
        line, column: of the place at fault, from 1.
        nearest: a name that exists and comes close.
    """

    def __init__(
        self, kind: str, message: str, line: int | None = None, column: int | None = None, nearest: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.line, self.column, self.nearest = kind, line, column, nearest


class InvalidSettings(UsageError):
    """An ODH_ environment variable that is unknown or malformed."""


class InvalidFeed(UsageError):
    """A feed file that does not follow the schema."""


class InvalidContract(UsageError):
    """A contract file, of a table's columns and types, that does not follow the schema."""


class Restricted(PermanentError):
    """Data of a feed that keeps its raw files and bronze tables from readers."""


class AccessDenied(PermanentError):
    """What a caller of the gateway may not do."""


class KeyNeeded(AccessDenied):
    """A caller without a key, or with one that is unknown, expired or revoked.

    Args:
        is_wrong: whether a key was given.
    """

    def __init__(self, message: str, *, is_wrong: bool = False) -> None:
        self.is_wrong = is_wrong
        super().__init__(message)


class ScopeMissing(AccessDenied):
    """A key whose scopes do not cover what was asked.

    Args:
        scope: the scope that is missing.
    """

    def __init__(self, scope: str, name: str) -> None:
        self.scope = scope
        super().__init__(
            f"Key {name} lacks the scope {scope}, which this needs. Ask whoever runs the gateway for a key that has"
            f" it: odh keys create NAME --scope {scope}."
        )


class ResourceGone(PermanentError):
    """The portal answers 404 or 410: the thing is not there any more."""


class Refused(PermanentError):
    """A file that cannot become a table; the message is the reason kept in the ledger."""


class NotATable(Refused):
    """A document, a picture, a page or a program, as opposed to data that is cut, encrypted or too large."""


class BuildFailed(PermanentError):
    """dbt could not build or test a domain; the previous release stays."""

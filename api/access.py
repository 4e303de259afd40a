"""Who calls the gateway and what they may do: keys, and the scopes of callers without one.

A route says ``dependencies=[require(Scope.SQL_RUN)]``; code below routes asks ``caller().allows(scope)``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any

import sqlalchemy as sa
from anyio import to_thread
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from catalog.api_keys import MARK, ApiKey, find_key, key_id_of
from catalog.clock import utc_now
from catalog.errors import AccessDenied, KeyNeeded, ScopeMissing, TransientError
from catalog.ledger import Ledger
from catalog.scopes import ON_A_LAPTOP, Scope, read_scopes
from catalog.settings import Settings

LOOKUP_SECONDS = 3.0  # how long a key once found is believed: a revoked one works for that long at most
LOOKUPS_REMEMBERED = 4096
USE_NOTED_SECONDS = 3600.0

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="a key of `odh keys create`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="the same key")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; ``key_id`` is None for one without a key."""

    key_id: str | None = None
    name: str = "(none)"
    scopes: frozenset[Scope] = frozenset()

    def allows(self, scope: Scope) -> bool:
        """Whether the caller has a scope."""
        return scope in self.scopes

    def demand(self, scope: Scope) -> None:
        """Refuse a caller without a scope.

        Raises:
            KeyNeeded: there is no key.
            ScopeMissing: the key does not have it.
        """
        if scope in self.scopes:
            return
        if self.key_id is None:
            raise KeyNeeded(
                f"This needs a key with the scope {scope}: send it as Authorization: Bearer KEY, or as X-API-Key."
                f" Whoever runs the gateway makes one: odh keys create NAME --scope {scope}."
            )
        raise ScopeMissing(scope, self.name)


NOBODY = Caller()
_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def caller() -> Caller:
    """Who sent the request at hand; outside of one, a caller who may do nothing."""
    return _caller.get()


def enter(found: Caller) -> None:
    """Make a caller that of the request at hand."""
    _caller.set(found)


@dataclass
class Access:
    """Finds the caller of a request. One for each process; a key is looked up every few seconds at most."""

    settings: Settings
    ledger: Ledger
    on_use: Callable[[str], None] = lambda key_id: None
    clock: Callable[[], float] = time.monotonic
    _found: OrderedDict[str, tuple[float, ApiKey | None, Caller]] = field(default_factory=OrderedDict)

    _use_due: dict[str, float] = field(default_factory=dict)  # when the use of a key is to be noted again
    anonymous: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.anonymous = Caller(scopes=ON_A_LAPTOP if self.settings.is_open else read_scopes(self.settings.api_public))

    async def identify(self, given: str | None) -> Caller:
        """The caller who sent a key, or none.

        Raises:
            KeyNeeded: the key is unknown, expired or revoked.
            TransientError: the ledger does not answer.
        """
        if given is None:
            return self.anonymous
        key_id = key_id_of(given)
        key, holder = await self._lookup(key_id) if key_id else (None, self.anonymous)
        if key is None or not key.is_hash_of(given):
            raise KeyNeeded("This key is unknown. Was it copied whole?", is_wrong=True)
        if (status := key.status(utc_now())) != "live":
            raise KeyNeeded(f"Key {key.name} is {status}. Ask whoever runs the gateway for another.", is_wrong=True)
        if self.clock() >= self._use_due.get(key.key_id, 0.0):
            self._use_due[key.key_id] = self.clock() + USE_NOTED_SECONDS
            self.on_use(key.key_id)
        return holder

    async def _lookup(self, key_id: str) -> tuple[ApiKey | None, Caller]:
        """A key, and the caller who holds it."""
        until, key, holder = self._found.get(key_id, (0.0, None, self.anonymous))
        if until > self.clock():
            return key, holder
        try:
            key = await to_thread.run_sync(find_key, self.ledger, key_id)
        except sa.exc.DBAPIError as error:
            raise TransientError("Keys cannot be checked at present: the ledger does not answer.") from error
        holder = Caller(key.key_id, key.name, key.scopes | self.anonymous.scopes) if key else self.anonymous
        self._found[key_id] = (self.clock() + LOOKUP_SECONDS, key, holder)
        self._found.move_to_end(key_id)
        while len(self._found) > LOOKUPS_REMEMBERED:
            self._found.popitem(last=False)
        return key, holder


def key_in(headers: Headers) -> str | None:
    """The key a request carries, if any; ``X-API-Key`` wins.

    A bearer token that is no key of ours is another's: of a proxy, or pyiceberg's, which says ``Bearer None``.
    """
    if given := headers.get("x-api-key"):
        return given.strip()
    scheme, _, value = headers.get("authorization", "").partition(" ")
    is_ours = scheme.lower() == "bearer" and value.strip().startswith(f"{MARK}_")
    return value.strip() if is_ours else None


def challenge(error: AccessDenied) -> str:
    """What ``WWW-Authenticate`` says of a refusal (RFC 6750)."""
    match error:
        case ScopeMissing():
            return f'Bearer realm="odh", error="insufficient_scope", scope="{error.scope}"'
        case KeyNeeded(is_wrong=True):
            return 'Bearer realm="odh", error="invalid_token"'
    return 'Bearer realm="odh"'


# What routes write


def require(*scopes: Scope) -> Any:
    """A dependency that refuses callers without every one of these scopes."""

    async def check(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
        header: Annotated[str | None, Security(_header)] = None,
    ) -> None:
        for scope in scopes:
            caller().demand(scope)

    return Depends(check)


def require_layer() -> Any:
    """A dependency that refuses callers who may not read the layer their address begins with."""

    async def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
        header: Annotated[str | None, Security(_header)] = None,
    ) -> None:
        demand_layer(request.url.path.split("/")[1])

    return Depends(check)


def demand_layer(layer: str) -> None:
    """Refuse a caller who may not read a layer, named as the gateway or the catalogue names it.

    Raises:
        KeyNeeded: there is no key.
        ScopeMissing: the key does not have the layer's scope.
    """
    names = {"bronze": "raw", "silver": "staging", "gold": "curated"}
    scopes = {"raw": Scope.RAW_READ, "staging": Scope.STAGING_READ, "curated": Scope.CURATED_READ}
    if scope := scopes.get(names.get(layer, layer)):
        caller().demand(scope)


async def _at_hand() -> Caller:
    return caller()


CallerDep = Annotated[Caller, Depends(_at_hand)]

"""The commands of the gateway's keys: keys create, list and revoke."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalog.cli import Json

if TYPE_CHECKING:
    from catalog.api_keys import ApiKey
    from catalog.scopes import Scope

keys_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of the gateway.")


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, such as raw:read; repeat for more.")],
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Days it works; default: for ever.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key and show it: this is the only time it can be seen."""
    from catalog.api_keys import create_key
    from catalog.clock import utc_now
    from catalog.ledger import Ledger
    from catalog.settings import load_settings
    from catalog.terminal import console, print_json

    scopes, now = _scopes(scope), utc_now()
    expires_at = now + timedelta(days=expires_days) if expires_days else None
    with closing(Ledger(load_settings())) as ledger:
        made, key = create_key(ledger, name, scopes, now, expires_at)
    if json:
        print_json({"key": key, **_as_json(made, now)})
        return
    console.print(key, markup=False, soft_wrap=True)
    told = f"Key {made.name} ({made.key_id}): {', '.join(sorted(made.scopes))}. Keep it: it cannot be shown again."
    console.print(told, markup=False)


@keys_app.command("list")
def list_(json: Json = False) -> None:
    """List the keys: what each may do, until when, and when it was last used."""
    from catalog.api_keys import list_keys
    from catalog.clock import utc_now
    from catalog.ledger import Ledger
    from catalog.settings import load_settings
    from catalog.terminal import print_json, print_table

    now = utc_now()
    with closing(Ledger(load_settings())) as ledger:
        keys = [_as_json(key, now) for key in list_keys(ledger)]
    if json:
        print_json({"keys": keys})
        return
    columns = ("key_id", "name", "status", "scopes", "created_at", "expires_at", "last_used_at")
    print_table(columns, [[_cell(key[column]) for column in columns] for key in keys])


@keys_app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id or its name.")],
    json: Json = False,
) -> None:
    """End a key; the gateway refuses it within some seconds."""
    from catalog.api_keys import revoke_key
    from catalog.clock import utc_now
    from catalog.ledger import Ledger
    from catalog.settings import load_settings
    from catalog.terminal import console, print_json

    now = utc_now()
    with closing(Ledger(load_settings())) as ledger:
        ended = revoke_key(ledger, key, now)
    if json:
        print_json({"key_id": ended.key_id, "name": ended.name, "revoked_at": now})
    else:
        console.print(f"Revoked key {ended.name} ({ended.key_id}).", markup=False)


def _scopes(given: list[str]) -> frozenset[Scope]:
    from catalog.errors import UnknownName
    from catalog.scopes import Scope

    known = {str(scope): scope for scope in Scope}
    for name in given:
        if name not in known:
            raise UnknownName("scope", name, known)
    return frozenset(known[name] for name in given)


def _as_json(key: ApiKey, now: datetime) -> dict[str, Any]:
    """A key for machines, without its hash."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "prefix": key.prefix,
        "status": key.status(now),
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return " ".join(value) if isinstance(value, list) else value

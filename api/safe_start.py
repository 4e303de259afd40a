"""What the gateway refuses to start with where ``ODH_ENVIRONMENT`` is ``production``."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from pydantic import SecretStr

from catalog.errors import InvalidSettings
from catalog.policies import Policy
from catalog.registry import Registry
from catalog.scopes import Scope, read_scopes
from catalog.settings import PREFIX, Settings

WELL_KNOWN = {
    "admin",
    "minio",
    "minio123",
    "minioadmin",
    "odh",
    "opendatahub",
    "password",
    "postgres",
    "root",
    "secret",
}
PLACEHOLDERS = ("change", "default", "example", "placeholder", "replace", "todo", "xxx", "your")
FEWEST_CHARACTERS = 6  # different ones, in a secret that somebody drew
MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"


def refuse_unsafe(settings: Settings, registry: Registry) -> None:
    """Refuse to serve in production what would be open, or kept by a secret that everyone knows.

    Raises:
        InvalidSettings: naming everything that is to be set.
    """
    if settings.environment != "production":
        return
    faults = [*_open_doors(settings), *_weak_secrets(settings, registry)]
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise InvalidSettings(f"ODH_ENVIRONMENT=production does not start with these settings:\n{listed}")


def _open_doors(settings: Settings) -> Iterator[str]:
    if settings.is_open:
        yield "ODH_API_ACCESS=open lets anyone read and write everything: set it to keys, and odh keys create NAME"
    layers = {Scope.RAW_READ, Scope.STAGING_READ, Scope.CURATED_READ}
    for scope in sorted(read_scopes(settings.api_public) - layers):
        yield f"ODH_API_PUBLIC gives everyone {scope}: leave it to keys; only {', '.join(sorted(layers))} may be public"
    if settings.serve_restricted:
        yield "ODH_SERVE_RESTRICTED shows restricted feeds to all who read raw: unset it, and give keys restricted:read"


def _weak_secrets(settings: Settings, registry: Registry) -> Iterator[str]:
    is_hashing = any(Policy.HASH in table.masks.values() for table in registry.bronze_tables().values())
    needed = {"api_secret": "it signs cursors"}
    if is_hashing:
        needed["personal_data_key"] = "feeds hash personal data with it"
    for name in ("api_secret", "personal_data_key", "s3_secret_access_key"):
        value: SecretStr | None = getattr(settings, name)
        variable = PREFIX + name.upper()
        if value is None:
            if name in needed:
                yield f"{variable} is not set, and {needed[name]}: {MAKE_ONE}"
        elif is_weak(value.get_secret_value()):
            yield f"{variable} is a default or a placeholder: {MAKE_ONE}"
    for variable, url in (("ODH_LEDGER_URL", settings.ledger_database), ("ODH_CATALOG_URL", settings.catalog_database)):
        password = sa.make_url(url).password
        if password is not None and is_weak(str(password)):
            yield f"{variable} holds a default password: give the database another"


def is_weak(secret: str) -> bool:
    """Whether a secret is empty, one of those that products come with, or a text that asks to be replaced."""
    plain = secret.strip().lower()
    is_placeholder = plain.startswith(PLACEHOLDERS) or plain in WELL_KNOWN
    return is_placeholder or len(set(plain)) < FEWEST_CHARACTERS

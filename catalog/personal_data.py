"""Personal data: what of a column enters silver, and the keyed hash that stands for a value.

Bronze and raw keep what was received. Builds see bronze through ``masked_select`` only, in a private copy that a dbt
process cannot look behind: the key is never written.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

import duckdb

from catalog.errors import BuildFailed
from catalog.feed import Feed
from catalog.functions import install_functions
from catalog.names import quote_identifier
from catalog.policies import Policy
from catalog.settings import Settings

HASH_DIGITS = 32  # hexadecimal, 128 bits of HMAC-SHA256
_BLOCK = 64  # bytes of SHA-256's block, to which HMAC pads its key


def masked_select(rows: str, policies: Mapping[str, Policy], key: bytes | None) -> str:
    """SQL of some rows with their personal data masked; all other columns as they are.

    Args:
        rows: SELECT of the rows as they are in bronze: texts.
        policies: by column; a column without one is kept.
        key: of the hashes; needed only where a policy hashes.
    """
    masks = {column: policy for column, policy in policies.items() if policy is not Policy.KEEP}
    listed = ", ".join(f"{_masked(column, mask, key)} as {quote_identifier(column)}" for column, mask in masks.items())
    return f"select * replace ({listed}) from ({rows})" if masks else rows  # noqa: S608 - identifiers are quoted


def masked_rows(settings: Settings, feed: Feed, name: str, headers: Mapping[str, str], rows: str) -> str | None:
    """SQL of the rows of a feed's bronze table with its personal data masked; None where there is none to mask.

    Args:
        name: of the bronze table.
        headers: its columns and their headers (``Lakehouse.headers``).
        rows: SELECT of the rows as they are in bronze.

    Raises:
        BuildFailed: a policy names a column that no file has, or hashes and no key is set.
    """
    declared = feed.bronze_names().get(name)
    policies = declared.masks if declared else {}
    if not policies:
        return None
    check_columns(name, policies, headers)
    is_hashed = Policy.HASH in policies.values()
    key = personal_data_key(settings, f"{name} hashes personal data") if is_hashed else None
    return masked_select(rows, policies, key)


def masking_mark(settings: Settings, feed: Feed) -> str:
    """What a build's fingerprint says of a feed's personal data: other policies or another key, another silver."""
    policies = {table.name: sorted(table.masks.items()) for table in feed.declared if table.masks}
    if not policies:
        return ""
    secret = settings.personal_data_key
    key = secret.get_secret_value().encode() if secret else b""
    return hmac.new(key, repr(policies).encode(), "sha256").hexdigest()[:16]


def put_masked(connection: duckdb.DuckDBPyConnection, schema: str, name: str, select: str) -> None:
    """Make or replace one table of masked rows: a view would keep the key in its text."""
    target = f"{quote_identifier(schema)}.{quote_identifier(name)}"
    kind = "select table_type from information_schema.tables where table_schema = ? and table_name = ?"
    if connection.execute(kind, [schema, name]).fetchone() == ("VIEW",):
        connection.execute(f"drop view {target}")
    connection.execute(f"create or replace table {target} as {select}")


def hashed(expression: str, key: bytes) -> str:
    """SQL of the keyed hash of a text: the first digits of HMAC-SHA256 of its UTF-8 without outer spaces.

    NULL and an empty text stay as they are.
    """
    padded = key.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ mask for byte in padded).hex() for mask in (0x36, 0x5C))
    text = f"encode(fr_text({expression}))"
    digest = f"sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || {text})))"
    return f"case when fr_text({expression}) is null then {expression} else left({digest}, {HASH_DIGITS}) end"


def hash_of(value: str, key: bytes) -> str:
    """The same keyed hash, of a value in hand."""
    with duckdb.connect() as connection:
        install_functions(connection)
        found = connection.execute(f"select {hashed('?', key)}".replace("?", "$1"), [value]).fetchone()
    return str(found[0]) if found else ""


def personal_data_key(settings: Settings, why: str) -> bytes:
    """The secret of the hashes, at most 64 bytes.

    Raises:
        BuildFailed: it is not set.
    """
    secret = settings.personal_data_key
    if secret is None:
        raise BuildFailed(f"{why}: set ODH_PERSONAL_DATA_KEY to a secret of 16 to 64 characters, and keep it.")
    return secret.get_secret_value().encode()


def check_columns(table: str, policies: Mapping[str, Policy], headers: Mapping[str, str]) -> None:
    """Refuse a policy on a column that no file has: the column it means would pass as it is.

    Args:
        headers: the bronze table's columns and their headers, empty for one that is declared and was in no file.

    Raises:
        BuildFailed: naming the column.
    """
    has_headers = any(headers.values())
    for column in policies:
        if column not in headers or (has_headers and not headers[column]):
            known = ", ".join(name for name, header in headers.items() if header or not has_headers)
            raise BuildFailed(
                f"{table}: personal_data names {column!r}, which no file of the table has; its columns are {known}."
                " Correct the feed: until then its domain is not built."
            )


def _masked(column: str, policy: Policy, key: bytes | None) -> str:
    quoted = quote_identifier(column)
    match policy:
        case Policy.DROP:
            return "null::varchar"
        case Policy.GENERALISE:
            return _generalised(quoted)
        case Policy.HASH if key:
            return hashed(quoted, key)
    raise ValueError(f"{column}: {policy} needs a key")


_CODE = r"^\s*(9[78]\d|2[AB]|\d\d)\d{2,3}\s*$"


def _generalised(value: str) -> str:
    code = re.sub("'", "''", _CODE)
    departement = f"case when length(trim({value})) = 5 then nullif(regexp_extract({value}, '{code}', 1), '') end"
    year = f"year(fr_date({value}))::varchar"
    return f"coalesce({year}, {departement}, upper(left(fr_text({value}), 1)))"

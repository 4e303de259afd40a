"""Which rows of bronze are current, in SQL: what the macro ``current_rows`` of the dbt project says, for builds.

Every relation here is a bronze table as builds see it, with the day its version was replaced (``catalog/versions.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from catalog.feed import Mode
from catalog.names import quote_identifier
from catalog.versions import REPLACED_ON

LINEAGE = ("_resource_id", "_extraction_date", "_source_file", "_source_member", "_source_line")


def current_rows(relation: str, mode: Mode = Mode.OVERWRITE, keys: Sequence[str] = ()) -> str:
    """A SELECT of the rows of a bronze relation that are current."""
    conditions = [f"{REPLACED_ON} is null"] if mode is Mode.OVERWRITE else ["true"]
    if mode is Mode.UPSERT:
        conditions.append(_has_key(keys))
    chosen = f"\nqualify {_wins(mode, keys)}" if keys else ""
    return f"select * exclude ({REPLACED_ON}) from {relation} where {' and '.join(conditions)}{chosen}"


def key_rejects(relation: str, mode: Mode, keys: Sequence[str]) -> str:
    """A SELECT of the rows that another row of the same extraction takes the place of, among those that count.

    Its columns are those of a reject: lineage without ``_loaded_at``, ``stage, column_name, raw_text, reason``.
    """
    listed = ", ".join(keys)
    lost = f"the key {listed} stands again in this extraction, and the last line counts"
    missing = f"the key {listed} is empty, and this table is kept by its key"
    no_key = f"not {_has_key(keys)}" if mode is Mode.UPSERT else "false"
    counts = f"{REPLACED_ON} is null" if mode is Mode.OVERWRITE else "true"
    scope = f"_resource_id, _extraction_date, {_quoted(keys)}"
    once = f"row_number() over (partition by {scope} order by {_order(Mode.OVERWRITE)})"
    return f"""\
select {", ".join(LINEAGE)}, 'key' as stage, null::varchar as column_name, _text as raw_text,
    case when {no_key} then '{missing}' else '{lost}' end as reason
from (
    select *, to_json(_row)::varchar as _text, {once} as _place
    from (select * exclude ({REPLACED_ON}) from {relation} where {counts}) as _row
) as placed
where {no_key} or (_place > 1 and {_has_key(keys)})"""


def _wins(mode: Mode, keys: Sequence[str]) -> str:
    scope = "_resource_id, " if mode is Mode.OVERWRITE else ""
    first = f"row_number() over (partition by {scope}{_quoted(keys)} order by {_order(mode)}) = 1"
    return first if mode is Mode.UPSERT else f"not {_has_key(keys)} or {first}"


def _has_key(keys: Sequence[str]) -> str:
    parts = ", ".join(f"nullif({quote_identifier(key)}, '')" for key in keys)
    return f"(coalesce({parts}, '') <> '')"


def _order(mode: Mode) -> str:
    way = "asc" if mode is Mode.APPEND else "desc"
    return f"_extraction_date {way}, _resource_id {way}, _source_member desc nulls last, _source_line desc"


def _quoted(keys: Sequence[str]) -> str:
    return ", ".join(quote_identifier(key) for key in keys)

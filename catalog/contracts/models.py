"""From contracts to SQL: the dbt models of a feed, and the questions a build asks of the same columns without dbt."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterator, Sequence

from catalog.contracts.contract import Contract
from catalog.contracts.model_docs import HISTORY, models_yaml
from catalog.contracts.silver import (
    LINEAGE,
    REJECTED,
    Reading,
    SilverColumn,
    broken_rules,
    given,
    quote_text,
    quoted,
    read_columns,
)
from catalog.contracts.store import replace_file
from catalog.feed import BadValues, Feed, Mode
from catalog.row_choice import current_rows
from catalog.settings import Settings

TYPE, SCHEMA = "type", "schema"  # stages of a reject
COMMA = ",\n        "
INDENT, WIDTH = " " * 24, 120  # of the list of columns that did not read
HEADER = """\
{{#-
    Written from a contract, which says what each column is. Edit that file, not this one:
        contracts/{feed}/{part}.yml
    or make this model one of the project's, to be written on by hand:
        odh feeds adopt {feed}.{part}
-#}}
"""
CONFIG = "{{{{ config(schema='silver', tags=['{domain}']) }}}}\n\n"
MODEL = """\
with

source as (

    {rows}

),

typed as (

    select
        {read}
    from source

),

final as (

    select
        {columns},
        {rejected} as {name},
        {lineage}
    from typed

)

select * from final
"""


# The dbt models


def model_sql(contract: Contract) -> str:
    """The dbt model of a contract's current rows, without its header."""
    return _model_sql(contract, f"current_rows({_arguments(contract)})", "{{ lineage() }}")


def history_sql(contract: Contract) -> str:
    """The dbt model of every state a contract's rows were in, without its header."""
    columns = COMMA.join(["{{ lineage() }}", *HISTORY])
    return _model_sql(contract, f"history_rows({_arguments(contract)})", columns)


def write_models(
    settings: Settings, feed: Feed, contracts: Sequence[Contract], with_history: Container[str] = ()
) -> None:
    """Write the models of a feed and their YAML, and remove those it no longer has.

    A file that would say the same is left alone: dbt reads again what was written anew.

    Args:
        with_history: bronze tables whose history is a model too.
    """
    folder = settings.generated_models / feed.feed
    contracts = sorted(contracts, key=lambda one: one.table)
    files = {folder / f"{one.model}.sql": _header(one) + model_sql(one) for one in contracts}
    past = [one for one in contracts if one.table in with_history]
    files.update({folder / f"{one.history_model}.sql": _header(one) + history_sql(one) for one in past})
    if contracts:
        files[folder / f"_{feed.feed}.yml"] = models_yaml(feed, contracts, past)
    for path, text in files.items():
        replace_file(path, text)
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if path not in files:
            path.unlink()
    if folder.is_dir() and not files:
        folder.rmdir()


def tables_with_history(settings: Settings, feed: Feed) -> set[str]:
    """Bronze tables of a feed whose history is a generated model now."""
    found = (settings.generated_models / feed.feed).glob("stg_*__history.sql")
    return {path.stem.removeprefix("stg_").removesuffix("__history") for path in found}


def prune_models(settings: Settings, feeds: Container[str]) -> None:
    """Remove the generated models of feeds that are no more: dbt would build them from nothing."""
    root = settings.generated_models
    for folder in list(root.iterdir()) if root.is_dir() else []:
        if folder.is_dir() and folder.name not in feeds:
            shutil.rmtree(folder)


def _header(contract: Contract) -> str:
    return HEADER.format(feed=contract.feed, part=contract.table.removeprefix(f"{contract.feed}__"))


def _arguments(contract: Contract) -> str:
    """What a macro is to know of a table: where it is, and what the feed says of its rows."""
    keys = [f"keys={[quoted(key) for key in contract.keys]}"] if contract.keys else []
    mode = [f"mode='{contract.mode}'"] if contract.mode is not Mode.OVERWRITE else []
    return ", ".join([f"source('{contract.feed}', '{contract.table}')", *mode, *keys])


def _model_sql(contract: Contract, rows: str, lineage: str) -> str:
    leaving = f"where len({REJECTED}) = 0\n" if contract.bad_values is BadValues.REJECT_ROW else ""
    return CONFIG.format(domain=contract.domain) + _typed(contract, f"{{{{ {rows} }}}}", lineage) + leaving


# The same columns without dbt


def typed_select(contract: Contract, relation: str) -> str:
    """What the model gives over a bronze relation, in SQL alone; rows that leave included."""
    return _typed(contract, _current(contract, relation), ", ".join(LINEAGE))


def rejects_select(contract: Contract, relation: str, stages: Container[str] = (TYPE,)) -> str:
    """Every value of a bronze relation's current rows that does not fit its column, one a row.

    Its columns are ``_resource_id, _extraction_date, _source_file, _source_member, _source_line, stage, column_name,
    raw_text, reason``.

    Args:
        stages: ``type`` for texts that do not read, ``schema`` for values that read and break a rule of their column.
    """
    lineage = [name for name in LINEAGE if name != "_loaded_at"]
    found = [one for one in _misfits(contract) if one[1] in stages]
    if not found:
        columns = "'' as stage, '' as column_name, '' as raw_text, '' as reason"
        return f"select {', '.join(lineage)}, {columns} from {relation} where false"
    structs = [
        f"case when {when} then {{'stage': '{stage}', 'column_name': '{name}', 'raw_text': {quoted(name)},"
        f" 'reason': {quote_text(reason)}}} end"
        for name, stage, reason, when in found
    ]
    return f"""\
with typed as (
    select {", ".join(_read(contract))}
    from ({_current(contract, relation)}) as source
),
misfits as (
    select {", ".join(lineage)}, unnest([{", ".join(structs)}]) as misfit
    from typed
    where {" or ".join(f"({when})" for *_, when in found)}
)
select {", ".join(lineage)}, misfit.stage, misfit.column_name, misfit.raw_text, misfit.reason
from misfits
where misfit is not null"""


def _current(contract: Contract, relation: str) -> str:
    return current_rows(relation, contract.mode, contract.keys)


def _misfits(contract: Contract) -> Iterator[tuple[str, str, str, str]]:
    """All that a contract does not allow: column, stage, reason, and the condition on a row and its values."""
    for one in read_columns(contract):
        name, kind = one.column.name, one.column.type.replace("_", " ")
        if one.read:
            article = "an" if kind[0] in "aeio" else "a"
            yield name, TYPE, f"column {name}: not {article} {kind}", " and ".join(one.misread)
        value = one.value if one.read else one.columns[0].value
        for rule, breaks in broken_rules(one.column, value, given(quoted(name))).items():
            yield name, SCHEMA, f"column {name}: {rule}", f"{value} is not null and {breaks}"


def _typed(contract: Contract, rows: str, lineage: str) -> str:
    """The statement that makes silver of some rows of bronze."""
    readings = read_columns(contract)
    columns = (column for reading in readings for column in reading.columns)
    return MODEL.format(
        rows=rows,
        read=COMMA.join(_read(contract)),
        columns=COMMA.join(_named(column) for column in columns),
        rejected=_rejected(readings),
        name=REJECTED,
        lineage=lineage,
    )


def _read(contract: Contract) -> list[str]:
    """What is selected of a row of bronze: all of it, and beside each text that may fail the value read from it."""
    return ["*", *(f"{one.read} as {one.value}" for one in read_columns(contract) if one.read)]


def _named(column: SilverColumn) -> str:
    name = quoted(column.name)
    return name if column.value == name else f"{column.value} as {name}"


def _rejected(readings: Sequence[Reading]) -> str:
    """SQL of the list of columns that did not read; no column's name has a comma."""
    named = [_case(one.misread, f"'{one.column.name}'") for one in readings if one.read]
    if not named:
        return "[]::varchar[]"
    names = f",\n{INDENT}".join(["','", *named])
    return f"""\
coalesce(
            string_split(
                nullif(
                    concat_ws(
                        {names}
                    ),
                    ''
                ),
                ','
            ),
            []::varchar[]
        )"""


def _case(conditions: Sequence[str], then: str) -> str:
    """A case, on one line if it fits."""
    line = f"case when {' and '.join(conditions)} then {then} end"
    if len(INDENT) + len(line) < WIDTH:
        return line
    together = f"\n{INDENT}        and ".join(conditions)
    return f"case\n{INDENT}    when\n{INDENT}        {together}\n{INDENT}        then {then}\n{INDENT}end"

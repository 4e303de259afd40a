"""What a feed file says: one pydantic model, checked before anything is fetched."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from catalog.errors import UnknownName
from catalog.names import bronze_table
from catalog.policies import Policy
from catalog.push.fields import RECORDS, REJECTED, Push
from catalog.schedules import is_schedule


def _is_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


def _not_reserved(domain: str) -> str:
    if domain == SNAPSHOTS:
        raise ValueError(f"{SNAPSHOTS!r} is the domain of the tables odh snapshot fills; choose another")
    return domain


SNAPSHOTS = "snapshots"  # the domain of the tables that odh snapshot fills; no feed's
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=63)]
Pattern = Annotated[str, AfterValidator(_is_regex)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mode(StrEnum):
    """How successive extractions of a table relate."""

    OVERWRITE = "overwrite"
    APPEND = "append"
    UPSERT = "upsert"


class Drift(StrEnum):
    """What a file that changed its shape does to its feed; the change is recorded in ``ops.schema_changes`` anyway."""

    EVOLVE = "evolve"  # take it, and let the tables and their types follow
    WARN = "warn"  # take it and say so; a type once decided stays, what does not fit it becomes rejects
    STOP = "stop"  # refuse a file whose change breaks readers, and keep what is there


class Ragged(StrEnum):
    """What becomes of a record with fewer or more cells than its header."""

    REJECT = "reject"
    PAD = "pad"  # a short one is filled with empty cells; a long one is rejected unless its surplus is empty


class BadValues(StrEnum):
    """What becomes of a row one of whose values does not fit its column's type; the value is always in the rejects."""

    NULLIFY = "nullify"  # the row stays, with a null and the column's name in ``_rejected``
    REJECT_ROW = "reject_row"  # the row leaves


class Search(_Strict):
    """A selection of datasets, in the portal's own search terms."""

    query: str | None = None
    organization: str | None = Field(None, description="organisation id")
    tag: str | None = None
    format: str | None = None

    @model_validator(mode="after")
    def _not_everything(self) -> Search:
        if not any((self.query, self.organization, self.tag, self.format)):
            raise ValueError("a search needs at least one of 'query', 'organization', 'tag' and 'format'")
        return self


class Source(_Strict):
    """Where the rows are from: one dataset of the portal, every dataset a search finds, or records pushed to us."""

    dataset: str | None = Field(None, description="dataset id (stable) or slug")
    search: Search | None = None
    push: Push | None = Field(None, description="the records that POST /ingest takes for this feed")
    leave_to: list[Name] = Field(default_factory=list, description="feeds whose tables' resources are left to them")

    @model_validator(mode="after")
    def _one_of(self) -> Source:
        if sum(kind is not None for kind in (self.dataset, self.search, self.push)) != 1:
            raise ValueError("give exactly one of 'dataset', 'search' and 'push'")
        if self.push and self.leave_to:
            raise ValueError("'leave_to' is for datasets of the portal; a push feed has nothing to leave")
        return self


class Retention(_Strict):
    """How much of the past to keep in raw; nothing set keeps everything."""

    extractions: int | None = Field(None, ge=1)
    days: int | None = Field(None, ge=1)


class Bounds(_Strict):
    """How far a snapshot of a gold table may lie from the one before; the strictest of a domain's feeds counts."""

    psi: float | None = Field(None, gt=0, description="population stability index of a column, by default 0.25")
    ks: float | None = Field(None, gt=0, le=1, description="Kolmogorov-Smirnov distance of a column, by default 0.2")
    rows: float | None = Field(None, gt=0, description="change of the number of rows, by default 0.5: half of them")


class FeedTable(_Strict):
    """One table of a feed and the resources that fill it."""

    name: Name
    description: str
    resources: Pattern = Field(description="regular expression searched in a resource's title and file name")
    members: Pattern | None = Field(None, description="regular expression an archive's member names must match")
    mode: Mode = Mode.OVERWRITE
    keys: list[Name] = Field(default_factory=list, description="columns that identify a row, for upserts and changes")
    columns: list[Name] = Field(default_factory=list, description="columns the models rely on, present even if empty")
    personal_data: dict[Name, Policy] = Field(
        default_factory=dict, description="what of a column enters silver, by column; the others enter as they are"
    )

    @field_validator("personal_data")
    @classmethod
    def _of_known_columns(cls, given: dict[str, Policy], info: ValidationInfo) -> dict[str, Policy]:
        columns, keys = info.data.get("columns") or [], info.data.get("keys") or []
        if unknown := [name for name in given if name not in columns]:
            raise ValueError(f"unknown column {unknown[0]!r}; 'columns' must list those that hold personal data")
        if merged := [name for name in given if name in keys and given[name] not in (Policy.KEEP, Policy.HASH)]:
            raise ValueError(f"{merged[0]!r} is a key, and {given[merged[0]]} would make rows one; hash or keep it")
        return given

    @property
    def masks(self) -> dict[str, Policy]:
        """The policies that change a value."""
        return {column: policy for column, policy in self.personal_data.items() if policy is not Policy.KEEP}

    def accepts(self, title: str, file_name: str) -> bool:
        """Whether a resource belongs to this table."""
        return any(re.search(self.resources, text, re.IGNORECASE) for text in (title, file_name))

    def accepts_member(self, member: str | None) -> bool:
        """Whether an archive's member belongs to this table."""
        return member is None or self.members is None or bool(re.search(self.members, member, re.IGNORECASE))

    @model_validator(mode="after")
    def _keys_for_mode(self) -> FeedTable:
        if self.mode is Mode.UPSERT and not self.keys:
            raise ValueError(f"table {self.name!r}: mode 'upsert' needs 'keys'")
        if unknown := [key for key in self.keys if self.columns and key not in self.columns]:
            raise ValueError(f"table {self.name!r}: keys {unknown} are not among its columns")
        return self


FORMS = ("declared", "auto")  # the two forms of ``tables``, which pydantic names in the place of a mistake
Tables = Annotated[
    Annotated[list[FeedTable], Field(min_length=1), Tag("declared")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda given: "auto" if isinstance(given, str) else "declared"),
]


class Feed(_Strict):
    """One declared thing to follow."""

    feed: Name
    title: str
    description: str
    owner: str
    license: str = Field(description="licence id as the portal names it, such as lov2")
    domain: Annotated[Name, AfterValidator(_not_reserved)] = Field(
        description="warehouse domain whose models read this feed"
    )
    source: Source
    tables: Tables = Field(
        description="the feed's tables; 'auto' makes one of every file, archive member and sheet that holds one"
    )
    depends_on: list[Name] = Field(default_factory=list, description="feeds whose tables the same models join")
    optional: bool = Field(
        False, description="its domain is built without it, and only a run that names it or every feed brings it"
    )
    schedule: Annotated[str, AfterValidator(is_schedule)] = "@daily"
    retention: Retention = Retention()
    bounds: Bounds = Field(Bounds(), description="how far a snapshot of its domain's gold may lie from the one before")
    drift: Drift = Drift.EVOLVE
    ragged: Ragged = Ragged.REJECT
    bad_values: BadValues = BadValues.NULLIFY
    history: bool = Field(True, description="keep every state of a silver table's rows, beside it")
    table_schema: str | None = Field(
        None, description="Table Schema to check rows against: a file of the lake's schemas folder, or a URL"
    )
    enabled: bool = True
    restricted: bool | None = Field(
        None, description="whether raw and bronze are kept from readers; by default, where a column is masked"
    )

    @model_validator(mode="after")
    def _unique_tables(self) -> Feed:
        names = [table.name for table in self.declared]
        if len(set(names)) < len(names):
            raise ValueError("two tables have the same name")
        return self

    @model_validator(mode="after")
    def _one_table_for_what_is_pushed(self) -> Feed:
        if self.source.push is None:
            return self
        if len(self.declared) != 1:
            raise ValueError("a push feed declares one table")
        table, fields = self.declared[0], [field.name for field in self.source.push.fields]
        if not self.takes(RECORDS, f"{RECORDS}.ndjson") or self.takes(REJECTED, f"{REJECTED}.ndjson"):
            raise ValueError(f"table {table.name!r}: a push feed's 'resources' is ^{RECORDS}$")
        if table.mode is Mode.OVERWRITE:
            raise ValueError(f"table {table.name!r}: each push adds to the ones before; 'mode' is append or upsert")
        if table.columns != fields:
            raise ValueError(f"table {table.name!r}: 'columns' are the fields of 'push', in order: {', '.join(fields)}")
        return self

    @property
    def is_restricted(self) -> bool:
        """Whether the gateway keeps the feed's raw files and bronze tables to itself."""
        return any(table.masks for table in self.declared) if self.restricted is None else self.restricted

    @property
    def is_pushed(self) -> bool:
        """Whether its records are pushed to the gateway rather than fetched from the portal."""
        return self.source.push is not None

    @property
    def is_auto(self) -> bool:
        """Whether the feed's tables are found in its files rather than declared."""
        return self.tables == "auto"

    @property
    def declared(self) -> list[FeedTable]:
        """The declared tables; none for a feed whose tables are found in its files."""
        return [] if isinstance(self.tables, str) else self.tables

    def table(self, name: str) -> FeedTable:
        """One declared table by name.

        Raises:
            UnknownName: with the tables that exist.
        """
        for table in self.declared:
            if table.name == name:
                return table
        raise UnknownName("table", name, [table.name for table in self.declared])

    def takes(self, title: str, file_name: str) -> bool:
        """Whether the feed wants a resource at all."""
        return self.is_auto or self.table_of(title, file_name) is not None

    def table_of(self, title: str, file_name: str) -> FeedTable | None:
        """The first declared table that takes a resource; None when there is none."""
        return next((table for table in self.declared if table.accepts(title, file_name)), None)

    def tables_of(self, title: str, file_name: str) -> list[FeedTable]:
        """The declared tables that share a resource, in order: a member is the first's that takes it.

        One that names no ``members`` takes what those before it left, so none comes after it.
        """
        sharing: list[FeedTable] = []
        for table in self.declared:
            if table.accepts(title, file_name):
                sharing.append(table)
                if table.members is None:
                    break
        return sharing

    def bronze_names(self) -> dict[str, FeedTable]:
        """Bronze table names of the declared tables."""
        return {bronze_table(self.feed, table.name): table for table in self.declared}

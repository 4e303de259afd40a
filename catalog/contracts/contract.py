"""A contract: what each column of one table is, as a YAML file that people read, edit and keep in version control."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from catalog.contracts.types import TYPES
from catalog.errors import UnknownName
from catalog.feed import BadValues, Mode, Name

Decided = Literal["evidence", "schema", "hand"]


def _is_type(name: str) -> str:
    if name not in TYPES:
        raise ValueError(str(UnknownName("type", name, TYPES)))
    return name


ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]  # a long header may end with "_"
TypeName = Annotated[str, AfterValidator(_is_type)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnContract(_Strict):
    """One column of a table in silver."""

    name: ColumnName = Field(description="the column in bronze and in silver")
    header: str = Field("", description="the header as published")
    type: TypeName = Field(description="one of the logical types of docs/types.md")
    decided: Decided = Field(
        "evidence", description="by the rows, by a Table Schema, or by hand: that is never changed"
    )
    unit: str | None = Field(None, description="the unit all values carry, such as €, %, km")
    markers: list[str] = Field(
        default_factory=list, description="texts that say why a value is missing; kept in <name>_reason"
    )
    nullable: bool = Field(True, description="false: the tests fail on a missing value")
    unique: bool = Field(False, description="true: the tests fail on a repeated value")
    values: list[str] = Field(default_factory=list, description="the only texts allowed, from a Table Schema")
    pattern: str | None = Field(None, description="regular expression every value matches, from a Table Schema")
    minimum: float | None = Field(None, allow_inf_nan=False, description="the least number allowed")
    maximum: float | None = Field(None, allow_inf_nan=False, description="the greatest number allowed")
    description: str = Field("", description="what the column means, in the words of its documentation")
    note: str | None = Field(None, description="what a person should know: mixed date orders, values that do not fit")


class Profile(_Strict):
    """The rows a contract was last held against."""

    snapshot: str = Field(description="bronze snapshot")
    rows: int
    failing: dict[str, int] = Field(default_factory=dict, description="values that do not fit, by column")


class Contract(_Strict):
    """One table in silver."""

    feed: Name = Field(description="the feed the table belongs to")
    domain: Name = Field(description="warehouse domain, as the feed says")
    table: str = Field(description="bronze table")
    description: str = Field("", description="what the table holds")
    bad_values: BadValues = Field(BadValues.NULLIFY, description="as the feed says")
    mode: Mode = Field(Mode.OVERWRITE, description="as the feed says")
    keys: list[Name] = Field(default_factory=list, description="columns that identify a row, as the feed says")
    columns: list[ColumnContract] = Field(description="every column, in the order of the silver table")
    profile: Profile = Field(description="the rows the contract was last held against")

    @model_validator(mode="after")
    def _columns_once(self) -> Contract:
        repeated = [name for name, times in Counter(column.name for column in self.columns).items() if times > 1]
        if repeated:
            raise ValueError(f"columns {repeated} stand there twice")
        if not self.table.startswith(f"{self.feed}__"):
            raise ValueError(f"table {self.table!r} is none of feed {self.feed!r}; it must begin with '{self.feed}__'")
        return self

    @property
    def model(self) -> str:
        """Name of the silver table and of its dbt model."""
        return f"stg_{self.table}"

    @property
    def history_model(self) -> str:
        """Name of the silver table of all states its rows were in."""
        return f"{self.model}__history"

    def column(self, name: str) -> ColumnContract | None:
        """One column by name."""
        return next((column for column in self.columns if column.name == name), None)

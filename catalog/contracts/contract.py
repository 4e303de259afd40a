"""A contract: what each column of one table is, as a YAML file that people read, edit and keep in version control."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog.feed import BadValues, Name

Decided = Literal["evidence", "schema", "hand"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnContract(_Strict):
    """One column of a table in silver."""

    name: Name = Field(description="the column in bronze and in silver")
    header: str = Field("", description="the header as published")
    type: str = Field(description="one of the logical types of docs/types.md")
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
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    note: str | None = Field(None, description="what a person should know: mixed date orders, values that do not fit")


class Profile(_Strict):
    """The rows a contract was last held against."""

    snapshot: str = Field(description="bronze snapshot")
    rows: int
    failing: dict[str, int] = Field(default_factory=dict, description="values that do not fit, by column")


class Contract(_Strict):
    """One table in silver."""

    feed: Name
    domain: Name
    table: str = Field(description="bronze table")
    description: str = ""
    bad_values: BadValues = BadValues.NULLIFY
    columns: list[ColumnContract]
    profile: Profile

    @property
    def model(self) -> str:
        """Name of the silver table and of its dbt model."""
        return f"stg_{self.table}"

    def column(self, name: str) -> ColumnContract | None:
        """One column by name."""
        return next((column for column in self.columns if column.name == name), None)

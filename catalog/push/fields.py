"""What a push feed says of the records it takes; part of the feed file, knows nothing of how records come."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

RECORDS, REJECTED = "records", "rejected"  # titles of the raw files a flush writes; the second fills no table


class FieldType(StrEnum):
    """The types a field of a pushed record may have, in JSON's terms."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"  # "2024-05-01"
    DATETIME = "datetime"  # RFC 3339 with its offset: "2024-05-01T08:30:00Z"


class PushField(BaseModel):
    """One field of a pushed record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=63)]
    type: FieldType
    description: str
    required: bool = Field(False, description="refuse a record that lacks it or gives null")
    minimum: float | None = Field(None, description="least number, included")
    maximum: float | None = Field(None, description="greatest number, included")
    max_length: int | None = Field(None, ge=1, description="most characters of a text")
    pattern: str | None = Field(None, description="regular expression a text must match whole")
    enum: list[str] | None = Field(None, min_length=1, description="the only texts it may be")

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> PushField:
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        if self.type not in (FieldType.INTEGER, FieldType.NUMBER) and any(v is not None for v in bounds.values()):
            raise ValueError(f"field {self.name!r}: 'minimum' and 'maximum' are for integers and numbers")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"field {self.name!r}: 'minimum' is above 'maximum'")
        if self.type is not FieldType.TEXT and any((self.max_length, self.pattern, self.enum)):
            raise ValueError(f"field {self.name!r}: 'max_length', 'pattern' and 'enum' are for texts")
        if self.enum and (self.pattern or self.max_length):
            raise ValueError(f"field {self.name!r}: 'enum' already says which texts; drop 'pattern' and 'max_length'")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"field {self.name!r}: 'pattern' is not a regular expression: {error}") from error
        return self


class Push(BaseModel):
    """The contract of the records that are pushed to a feed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: list[PushField] = Field(min_length=1, description="the fields a record may have; no other is taken")

    @model_validator(mode="after")
    def _unique_fields(self) -> Push:
        names = [field.name for field in self.fields]
        if doubled := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two fields are named {doubled[0]!r}")
        if not any(field.required for field in self.fields):
            raise ValueError("one field at least must be 'required': a record that says nothing is no record")
        return self

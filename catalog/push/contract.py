"""The contract of a push feed, compiled: whether a record may enter, and if not, which field and why.

msgspec checks types, bounds, patterns and unknown fields in the same C pass that reads the JSON, and takes a batch of
good records at once: one costs two microseconds. Only a bad one is taken apart, to tell all that is wrong with it.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec

from catalog.feed import Feed
from catalog.push.fields import FieldType, PushField

_TYPES: Mapping[FieldType, Any] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: int,
    FieldType.NUMBER: float,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: datetime.date,
    FieldType.DATETIME: datetime.datetime,
}
MOST_UNKNOWN = 100  # of one record's fields that are told one by one: a body may bring a million
MOST_CHARACTERS = 126  # of a name that is told; a feed's are at most half as long
_AT_ONCE = 1000  # records read in one pass
_SPACE = b" \t\r\n"  # of JSON
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Fault(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Why a record may not enter; ``field`` is None where the whole record is no such thing."""

    field: str | None
    reason: str


class Contract:
    """What the records of one feed must be."""

    def __init__(self, feed: Feed) -> None:
        if feed.source.push is None:
            raise ValueError(f"{feed.feed} is no push feed")
        self.feed, self.fields = feed, {field.name: field for field in feed.source.push.fields}
        types = {name: _type_of(field) for name, field in self.fields.items()}
        parts = [
            (f"field_{number}", types[name])
            if field.required
            else (f"field_{number}", types[name] | msgspec.UnsetType, msgspec.UNSET)
            for number, (name, field) in enumerate(self.fields.items())
        ]
        names = dict(zip((part[0] for part in parts), self.fields, strict=True))  # a field may be named as a keyword
        struct = msgspec.defstruct("Record", parts, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)
        self._decode = msgspec.json.Decoder(struct).decode
        self._keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._decode_all = msgspec.json.Decoder(list[struct]).decode  # type: ignore[valid-type]
        self._optional = [part[0] for part in parts if len(part) > 2]
        self._field = {name: msgspec.json.Decoder(type_).decode for name, type_ in types.items()}

    def accepts(self, records: Sequence[msgspec.Raw]) -> bool:
        """Whether every one of some records may enter."""
        return all(self._accepts(records[start : start + _AT_ONCE]) for start in range(0, len(records), _AT_ONCE))

    def _accepts(self, records: Sequence[msgspec.Raw]) -> bool:
        content = b"[%b]" % b",".join(records)
        try:
            found = self._decode_all(content)
        except _UNREADABLE:
            return False
        keys = len(self.fields) * len(records)
        for name in self._optional:
            keys -= [getattr(record, name) for record in found].count(msgspec.UNSET)
        # a key that is given twice is read once; a text may hold what looks like a key, and costs a second look
        return content.translate(None, _SPACE).count(b'":') == keys

    def faults(self, record: msgspec.Raw) -> tuple[Fault, ...]:
        """All that is wrong with one record; nothing for one that may enter."""
        try:
            self._decode(record)
        except _UNREADABLE as error:
            return self._explain(record, error)
        return () if self._accepts([record]) else _repeated(bytes(record))

    def _explain(self, record: msgspec.Raw, error: Exception) -> tuple[Fault, ...]:
        try:
            given = self._keys(record)
        except _UNREADABLE as unreadable:
            return (Fault(None, _reason(unreadable)),)
        unknown = [name for name in given if name not in self.fields]
        found = [Fault(_shown(name), _unknown(name, self.fields)) for name in unknown[:MOST_UNKNOWN]]
        if more := len(unknown) - len(found):
            found.append(Fault(None, f"{more:,} more fields that are none of this feed's"))
        for name, field in self.fields.items():
            if name not in given or bytes(given[name]) == b"null":
                if field.required:
                    found.append(
                        Fault(name, "required, and null was given" if name in given else "required, and missing")
                    )
                continue
            try:
                self._field[name](given[name])
            except _UNREADABLE as wrong:
                found.append(Fault(name, _reason(wrong, field)))
        return tuple(found) or (Fault(None, _reason(error)),)

    def json_schema(self) -> dict[str, Any]:
        """JSON schema of a record, for the API's document."""
        told = {name: _schema_of(field) for name, field in self.fields.items()}
        required = [name for name, field in self.fields.items() if field.required]
        return {"type": "object", "properties": told, "required": required, "additionalProperties": False}


def _type_of(field: PushField) -> Any:
    kind: Any = _TYPES[field.type]
    if field.enum:
        kind = Literal[tuple(field.enum)]
    rules: dict[str, Any] = {"ge": field.minimum, "le": field.maximum, "max_length": field.max_length}
    if field.type is FieldType.INTEGER:
        least, most = rules["ge"], rules["le"]
        rules["ge"] = -(2**63) if least is None else math.ceil(least)
        rules["le"] = 2**63 - 1 if most is None else math.floor(most)
    rules = {name: rule for name, rule in rules.items() if rule is not None}
    told: dict[str, Any] = {**rules, **({"pattern": rf"\A(?:{field.pattern})\Z"} if field.pattern else {})}
    if field.type is FieldType.DATETIME:
        told["tz"] = True
    kind = Annotated[kind, msgspec.Meta(**told)] if told else kind
    return kind if field.required else kind | None


def _reason(error: Exception, field: PushField | None = None) -> str:
    """An error of msgspec in words for those who sent the record."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    if isinstance(error, RecursionError):
        return "nested too deep"
    said = str(error).split(" - at `")[0].replace("`", "'").replace(" | null", "")
    if field and field.enum and said.startswith("Invalid enum"):
        return f"not one of {', '.join(field.enum)}"
    if field and field.pattern and said.startswith("Expected 'str' matching"):
        return f"does not match {field.pattern}"
    return said[:1].lower() + said[1:]


def _shown(name: str) -> str:
    """A name somebody chose, as it may be told and kept: not endless, and without what a database refuses in a text."""
    cut = name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 1]}…"
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in cut)


def _unknown(name: str, fields: Mapping[str, Any]) -> str:
    close = get_close_matches(name, fields, n=1, cutoff=0.5) if len(name) <= MOST_CHARACTERS else []
    return "no field of this feed" + (f"; did you mean {close[0]!r}?" if close else "")


def _repeated(content: bytes) -> tuple[Fault, ...]:
    """A field given twice: which of its values was meant is not for us to guess."""
    found: list[Fault] = []

    def pairs(given: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in given]
        found.extend(Fault(name, "given more than once") for name in dict.fromkeys(names) if names.count(name) > 1)

    json.loads(content, object_pairs_hook=pairs)
    return tuple(found)


def _schema_of(field: PushField) -> dict[str, Any]:
    kind = {"text": "string", "date": "string", "datetime": "string"}.get(field.type, field.type.value)
    form = {"date": "date", "datetime": "date-time"}.get(field.type)
    rules = {
        "format": form,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "maxLength": field.max_length,
        "pattern": f"^(?:{field.pattern})$" if field.pattern else None,
        "enum": field.enum,
    }
    told: dict[str, Any] = {name: rule for name, rule in rules.items() if rule is not None}
    types: Any = kind if field.required else [kind, "null"]
    if field.enum and not field.required:
        told["enum"] = [*field.enum, None]
    return {"type": types, "description": field.description, **told}

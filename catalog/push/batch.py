"""A batch of pushed records: read from a request's body, held against its feed's contract, written as one log entry.

The bytes of each record stay those that were sent, but for line breaks between its parts, which become spaces: the
raw file has one record a line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from catalog.errors import OdhError, UnknownName
from catalog.push.contract import Contract, Fault

VERSION = 1
MOST_RECORDS = 100_000  # of one batch: some tenths of a second in which the gateway does nothing else
_TOLD_FAULTS = 100  # of a batch, in an answer; the receipt's rejects are all in ops.rejects
_PLACE = re.compile(r"\(byte (\d+)\)$")


class PushRefused(OdhError):
    """A request that leaves nothing in the log.

    Args:
        status: HTTP status that says so.
        kind: short name of the problem.
        faults: what is wrong, by record, where records are what is wrong.
    """

    def __init__(self, status: int, kind: str, detail: str, faults: tuple[Rejected, ...] = ()) -> None:
        super().__init__(detail)
        self.status, self.kind, self.faults = status, kind, faults


class Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of a push."""

    feed: str
    data: list[msgspec.Raw]
    atomic: bool = False
    idempotency_key: str | None = None


class Rejected(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A record that may not enter: its place in the batch, from 0, its bytes and what is wrong with it."""

    index: int
    raw: bytes
    faults: tuple[Fault, ...]


class Batch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One entry of the log."""

    version: int
    feed: str
    received_us: int  # microseconds since 1970, UTC
    accepted: int
    lines: bytes  # the records that may enter, each with its line end
    rejected: tuple[Rejected, ...]
    key_hash: str  # of the idempotency key; empty without one
    body_hash: str  # of the body, where there is a key

    @property
    def received_at(self) -> datetime:
        """When the gateway had the whole batch."""
        return datetime.fromtimestamp(self.received_us / 1e6, UTC)


_read_envelope = msgspec.json.Decoder(Envelope).decode
encode_batch = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(Batch).decode


def read_envelope(body: bytes) -> Envelope:
    """Read a body; its records are not looked at yet.

    Raises:
        PushRefused: 400, with the place where it stops being JSON or the field that is of another type.
    """
    try:
        return _read_envelope(body)
    except msgspec.ValidationError as error:
        shape = 'Send {"feed": "<name>", "data": [{…}, …]}, and besides "atomic" and "idempotency_key" if you like.'
        raise PushRefused(400, "bad-body", f"{_said(error)}. {shape}") from error
    except RecursionError as error:
        raise PushRefused(400, "bad-json", "The body is nested too deep to be records.") from error
    except UnicodeDecodeError as error:
        raise PushRefused(400, "bad-json", "The body is not UTF-8 text.") from error
    except msgspec.DecodeError as error:
        raise PushRefused(400, "bad-json", _placed(str(error), body)) from error


def take(
    body: bytes,
    contracts: Mapping[str, Contract],
    received_us: int,
    *,
    atomic: bool | None = None,
    key: str | None = None,
) -> tuple[Batch, bytes]:
    """Make the log entry of a body: the batch, and its bytes.

    Args:
        atomic: refuse all records if one is wrong, as asked beside the body; None asks nothing.
        key: idempotency key given beside the body.

    Raises:
        PushRefused: nothing of it may enter.
    """
    envelope = read_envelope(body)
    contract = contracts.get(envelope.feed)
    if contract is None:
        raise PushRefused(422, "unknown-feed", str(UnknownName("push feed", envelope.feed, contracts)))
    if not envelope.data:
        raise PushRefused(422, "no-records", "'data' holds no record; send one at least.")
    if len(envelope.data) > MOST_RECORDS:
        detail = (
            f"'data' holds {len(envelope.data):,} records, and one push may {MOST_RECORDS:,}; send them in several."
        )
        raise PushRefused(413, "too-many-records", detail)
    records = envelope.data
    rejected: tuple[Rejected, ...] = ()
    if not contract.accepts(records):
        checked = [contract.faults(record) for record in records]
        rejected = tuple(
            Rejected(index, bytes(record), faults)
            for index, (record, faults) in enumerate(zip(records, checked, strict=True))
            if faults
        )
        if rejected and (envelope.atomic or atomic):
            detail = f"{len(rejected)} of {len(records)} records are wrong, and atomic=true takes all or none."
            raise PushRefused(422, "bad-records", detail, rejected)
        records = [record for record, faults in zip(records, checked, strict=True) if not faults]
    key = key or envelope.idempotency_key
    batch = Batch(
        VERSION,
        envelope.feed,
        received_us,
        len(records),
        _lines(records),
        rejected,
        hash_key(envelope.feed, key) if key else "",
        hashlib.sha256(body).hexdigest() if key else "",
    )
    return batch, encode_batch(batch)


def hash_key(feed: str, key: str) -> str:
    """What stands for an idempotency key: clients choose them, and a hash is a safe name of a file."""
    return hashlib.sha256(f"{feed}\0{key}".encode()).hexdigest()


def told_faults(rejected: tuple[Rejected, ...]) -> list[dict[str, str | int | None]]:
    """What is wrong, one entry a record and field, as answers tell it."""
    found: Iterator[dict[str, str | int | None]] = (
        {"index": one.index, "field": fault.field, "reason": fault.reason} for one in rejected for fault in one.faults
    )
    return [fault for fault, _ in zip(found, range(_TOLD_FAULTS), strict=False)]


def _lines(records: list[msgspec.Raw]) -> bytes:
    joined = b"\n".join(records) + b"\n" if records else b""
    if joined.count(b"\n") != len(records):  # JSON has line breaks between its parts only, never in a text
        joined = b"".join(bytes(record).replace(b"\n", b" ") + b"\n" for record in records)
    return joined


def _said(error: Exception) -> str:
    return str(error).replace("`", "'").replace("$.", "").replace(" - at '$'", "")


def _placed(said: str, body: bytes) -> str:
    found = _PLACE.search(said)
    place = int(found[1]) if found else len(body)
    line = body.count(b"\n", 0, place) + 1
    column = place - (body.rfind(b"\n", 0, place) + 1) + 1
    what = _PLACE.sub("", said).strip() if found else "the JSON ends too soon"
    return f"The body is no JSON: {what}, at line {line}, column {column} (byte {place})."

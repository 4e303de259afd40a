"""What an erasure does about pushes: those that wait are drained first, and what broke the contract is searched.

Records that broke it are in no table: their texts are in raw files and in rejects, and a receipt may tell a field that
somebody named after a person.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from catalog import schema
from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.push import receipts
from catalog.push.fields import REJECTED
from catalog.push.keys import FOLDER
from catalog.push.log import segments, wipe_drained
from catalog.runs import Run
from ingestion.drain import Drain
from ingestion.erase_raw import RawChange, sha256_of
from ingestion.raw import PUSHED, Manifest, RawErasure, RawZone


def drain_first(run: Run, feed: str) -> list[str]:
    """Take all that waits in the log into bronze, where it is found, and wipe it off the log.

    The lock of pushes is held until the erasure is done: what comes meanwhile is drained after it, and kept away.

    Returns:
        What of the feed could not enter bronze, and so is not found there.
    """
    done = Drain(run.settings, run.registry, run.ledger, run.lakehouse).take_in(run.run_id)
    known = receipts.known_until(run.ledger)
    for segment in segments(run.settings.push_log):
        if segment in known:
            wipe_drained(run.settings.push_log, segment, known[segment])
    return [error for error in done.errors if error.startswith(f"{feed} of ")]


@dataclass(frozen=True, slots=True)
class PushedRefusals:
    """What is kept of a feed's pushed records that broke the contract, and the values that name a person."""

    ledger: Ledger
    zone: RawZone
    feed: str
    table: str
    values: Sequence[str]
    scratch: Path

    def erase(self, erasure_id: int) -> list[RawChange]:
        """Empty the person's lines of the raw files, and remove the rejects that tell of them."""
        changes = []
        for manifest, path, mine in self._found():
            self._erase_rejects(manifest, mine)  # first: a repeat after a kill finds them by the lines
            before, copy = sha256_of(path), self.scratch / f"erased-{uuid.uuid4().hex}"
            with path.open("rb") as source, copy.open("wb") as target:
                target.writelines(b"\n" if number in mine else line for number, line in enumerate(source, 1))
            facts = {"lines": len(mine), "sha256_before": before, "sha256_after": sha256_of(copy)}
            note = RawErasure.model_validate({"erasure_id": erasure_id, "erased_at": utc_now(), **facts})
            self.zone.replace_erased(manifest.key, copy, self.feed, note)
            changes.append(RawChange(manifest.key, len(mine), before, "its lines were emptied"))
        return changes

    def count(self) -> int:
        """Lines of the raw files that hold all the values."""
        return sum(len(mine) for _, _, mine in self._found())

    def _found(self) -> Iterator[tuple[Manifest, Path, set[int]]]:
        self.scratch.mkdir(parents=True, exist_ok=True)
        for manifest in list(self.zone.manifests(self.feed)):
            if manifest.evidence == PUSHED and manifest.title == REJECTED and self.zone.holds(manifest):
                path = self.zone.local_file(manifest, self.scratch / uuid.uuid4().hex)
                with path.open("rb") as lines:
                    mine = {number for number, line in enumerate(lines, 1) if names_person(line, self.values)}
                if mine:
                    yield manifest, path, mine

    def _erase_rejects(self, manifest: Manifest, lines: set[int]) -> None:
        r = schema.rejects
        of_file = (r.c.resource_id == manifest.resource_id, r.c.extraction_date == manifest.extraction_date)
        with self.ledger.begin() as connection:
            for line in sorted(lines):
                connection.execute(r.delete().where(*of_file, r.c.stage == "contract", r.c.source_line == line))

    def erase_faults(self) -> int:
        """Forget what receipts tell of faults, where that holds all the values."""
        b = schema.push_batches
        with self.ledger.begin() as connection:
            return connection.execute(b.update().where(*self._faults()).values(faults=None)).rowcount

    def count_faults(self) -> int:
        """Receipts that tell all the values."""
        with self.ledger.begin() as connection:
            query = sa.select(sa.func.count()).select_from(schema.push_batches).where(*self._faults())
            return connection.scalar(query) or 0

    def _faults(self) -> list[sa.ColumnElement[bool]]:
        c = schema.push_batches.c
        told = [sa.or_(*(c.faults.contains(form, autoescape=True) for form in _forms(value))) for value in self.values]
        return [c.feed == self.feed, *told]


def keys_naming(log_folder: Path, values: Sequence[str]) -> Iterator[Path]:
    """Remembered idempotency keys whose answers hold all the values."""
    for path in (log_folder / FOLDER).glob("??/*"):
        if names_person(path.read_bytes(), values):
            yield path


def names_person(content: bytes, values: Sequence[str]) -> bool:
    """Whether a text, or the JSON it is with all escapes read, holds all of some values."""
    text = content.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):  # what cannot be read is searched as it is
        text += json.dumps(json.loads(text), ensure_ascii=False)
    return all(any(form in text for form in _forms(value)) for value in values)


def _forms(value: str) -> set[str]:
    plain = value.strip()
    once = json.dumps(plain, ensure_ascii=False)
    return {plain, once[1:-1], json.dumps(once, ensure_ascii=False)[3:-3]}  # a remembered answer is JSON within JSON

"""One erasure from end to end: what is removed where, in an order no kill harms, and the look afterwards."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from catalog import releases
from catalog.clock import utc_now
from catalog.erasure import Erased, Eraser, Line, Person, person_of, remember, write_report
from catalog.feed import Feed
from catalog.names import bronze_table
from catalog.personal_data import personal_data_key
from catalog.retained import Removal, record_removals
from catalog.runs import Run
from catalog.serving import SUFFIX
from catalog.storage import raw_store
from catalog.upkeep import Upkeep, finish_rewrites
from ingestion.erase_pushed import PushedRefusals, keys_naming
from ingestion.erase_raw import RawChange, count_in_raw, erase_from_raw
from ingestion.raw import RawZone


def erase_person(
    run: Run, feed: Feed, name: str, values: Mapping[str, str], reason: str, *, is_dry: bool
) -> dict[str, Any]:
    """Erase a person and tell what was removed and what is left; the locks of the build and the feed are held.

    Raises:
        UsageError: no such table or column, or no key for the hashes by which the person stays away.
    """
    key = personal_data_key(run.settings, "an erasure keeps a keyed hash of whom it erased")
    person = person_of(bronze_table(feed.feed, name), values, key)
    at_once = run.settings.model_copy(update={"file_delay_days": 0.0})
    scratch = run.settings.scratch / run.run_id
    with closing(Upkeep(at_once, run.ledger, run.lakehouse, scratch, utc_now())) as upkeep:
        eraser = Eraser(run.ledger, run.lakehouse, upkeep, person, key)
        found = eraser.find_lines()  # before anything else: a table or column that is not there is told
        zone = RawZone(raw_store(run.settings))
        if is_dry:
            raw = erase_from_raw(zone, run.ledger, eraser, feed.feed, 0, found, values, scratch, is_dry=True)
            eraser.find_ways(feed.domain, found)
            counts = {str(place): eraser.count(place, found) for place in eraser.places(feed.domain)}
            told = {"dry_run": True, "lines": len(found), "found": counts, "left": {}}
            told["unsearched"] = eraser.unsearched(feed.domain)
            return {**told, "raw": [asdict(one) for one in raw]}
        releases.finish_staged(run.ledger, run.lakehouse)
        finish_rewrites(run.ledger, run.lakehouse)
        return _carry_out(run, feed, eraser, zone, person, found, values, reason)


def _carry_out(
    run: Run,
    feed: Feed,
    eraser: Eraser,
    zone: RawZone,
    person: Person,
    found: Sequence[Line],
    values: Mapping[str, str],
    reason: str,
) -> dict[str, Any]:
    erased = remember(run.ledger, person, reason, run.run_id)
    lines = erased.lines = sorted({*found, *erased.lines})
    eraser.ways += [way for way in erased.ways if way not in eraser.ways]
    erased.ways = eraser.find_ways(feed.domain, lines)
    write_report(run.ledger, erased, is_finished=False)  # a repeat after a kill knows what the tables no longer tell
    scratch = run.settings.scratch / run.run_id
    told = f"erasure {erased.erasure_id}: {reason}"
    raw = erase_from_raw(zone, run.ledger, eraser, feed.feed, erased.erasure_id, lines, values, scratch)
    record_removals(run.ledger, run.run_id, [one.removal(told, feed.feed) for one in raw])
    for place in eraser.places(feed.domain):
        rows, files = eraser.erase(place, lines)
        erased.removed[str(place)], erased.left[str(place)] = rows, eraser.count(place, lines)
        erased.files_removed += files
        removal = Removal("erased_rows", told, place.layer, place.name, feed=feed.feed, rows=rows)
        record_removals(run.ledger, run.run_id, [removal] if rows else [])
    erased.unsearched = eraser.unsearched(feed.domain)
    erased.removed["ops.rejects"] = eraser.erase_rejects(lines, list(values.values()))
    looks = {"reports": partial(_reports_of, run, values), "serving": partial(_copies_of, run, eraser, feed)}
    if feed.is_pushed:
        raw += _erase_pushed(run, feed, zone, person, erased, values, told)
        looks["keys"] = partial(keys_naming, run.settings.push_log, list(values.values()))
    for name, look in looks.items():
        held = list(look())
        for path in held:
            path.unlink(missing_ok=True)
        erased.removed[name], erased.left[name] = len(held), len(list(look()))
    erased.left["raw.files"] = count_in_raw(zone, feed.feed, lines, values, scratch)
    write_report(run.ledger, erased, is_finished=erased.is_proven)
    run.ledger.settle()
    return _report(erased, raw)


def _erase_pushed(
    run: Run, feed: Feed, zone: RawZone, person: Person, erased: Erased, values: Mapping[str, str], reason: str
) -> list[RawChange]:
    """Take the person out of what is kept of pushes that broke the contract."""
    pushed = PushedRefusals(run.ledger, zone, feed.feed, person.table, list(values.values()), run.settings.scratch)
    changes = pushed.erase(erased.erasure_id)
    record_removals(run.ledger, run.run_id, [one.removal(reason, feed.feed) for one in changes])
    erased.removed["receipts"], erased.left["receipts"] = pushed.erase_faults(), pushed.count_faults()
    erased.left["raw.rejected"] = pushed.count()
    return changes


def _report(erased: Erased, raw: Sequence[RawChange]) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(erased).items() if name not in ("lines", "ways")}
    told = {"dry_run": False, "is_proven": erased.is_proven, "lines": len(erased.lines)}
    return {**facts, **told, "raw": [asdict(one) for one in raw]}


def _copies_of(run: Run, eraser: Eraser, feed: Feed) -> Iterator[Path]:
    """The gateway's copies of the tables that may hold the person; it makes others of what is left."""
    for place in eraser.places(feed.domain):
        yield from run.settings.serving.glob(f"{place}.*{SUFFIX}")
        yield from run.settings.serving.glob(f".{place}.*")  # being made, or half made by a process that was killed


def _reports_of(run: Run, values: Mapping[str, str]) -> Iterator[Path]:
    """Validation reports, JSON or pages, that show all of the values."""
    forms = [{value, html.escape(value), json.dumps(value)[1:-1]} for value in values.values()]
    folder = run.settings.reports
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            text = path.read_text("utf-8", "replace")
            if all(any(form in text for form in one) for one in forms):
                yield path

"""One look at a feed: find its resources on the portal, take them into raw, load them into bronze.

A resource that fails is recorded with its reason and stops no other; a feed that fails stops no other feed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import structlog

from catalog.clock import utc_now
from catalog.erasure import keep_away
from catalog.errors import LakeBusy, OdhError, PermanentError, ResourceGone, TransientError
from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.loads import bronze_tables_of, was_loaded
from catalog.locks import exclusive
from catalog.registry import Registry
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader, Load
from ingestion.courtesy import shared_hosts
from ingestion.download import Downloader
from ingestion.drain import Drain
from ingestion.portal import Dataset, PortalClient, Resource, read_resource
from ingestion.raw import Manifest, RawZone
from ingestion.table_schemas import SchemaShelf

log = structlog.get_logger()
WHOLE_DATASET = "(dataset)"  # stands for the resource when the dataset itself could not be read
OnProgress = Callable[[str, int, int], None]  # what, steps done, steps in all


@dataclass
class FeedResult:
    """What one sync of one feed did; ``already`` counts the files this date had before."""

    feed: str
    extraction_date: date
    stored: int = 0
    unchanged: int = 0
    already: int = 0
    size_bytes: int = 0
    loads: list[Load] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)  # dead links among what was found: title, reason
    note: str | None = None  # what is worth saying though nothing is wrong
    is_transient: bool = False  # whether an error may be gone at the next try

    @property
    def rows_loaded(self) -> int:
        """Rows that this extraction has in bronze."""
        return sum(load.rows_loaded for load in self.loads)

    @property
    def rows_rejected(self) -> int:
        """Rows that this extraction could not read."""
        return sum(load.rows_rejected for load in self.loads)


class Syncer:
    """Syncs the feeds of one run."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        lakehouse: Lakehouse,
        run_id: str,
        *,
        registry: Registry | None = None,
    ) -> None:
        self.settings, self.ledger, self.run_id, self.registry = settings, ledger, run_id, registry
        self.lakehouse = lakehouse
        self.started_at = utc_now()
        hosts = shared_hosts(settings, ledger)
        self.portal = PortalClient(settings, hosts=hosts)
        self.downloader = Downloader(settings, hosts=hosts)
        self.raw = RawZone(raw_store(settings))
        shelf = SchemaShelf(settings, hosts)
        self.loader = BronzeLoader(ledger, lakehouse, self.raw, settings.scratch, run_id, shelf)

    def sync(self, feed: Feed, extraction_date: date, on_progress: OnProgress, *, from_raw: bool = False) -> FeedResult:
        """Extract and load one feed; errors are in the result and in the ledger, never raised.

        Args:
            from_raw: load what raw holds of the day, and ask the portal nothing.
        """
        result = FeedResult(feed.feed, extraction_date)
        structlog.contextvars.bind_contextvars(feed=feed.feed, extraction_date=extraction_date.isoformat())
        try:
            if feed.is_pushed:
                return self._drain(feed, result)
            with exclusive(self.settings, self.ledger, f"feed-{feed.feed}"):
                extract = self._replay if from_raw else self._extract
                manifests = extract(feed, extraction_date, result, on_progress)
                self._load(feed, manifests, result, on_progress)
        except LakeBusy as error:  # another process looks at this feed: its extraction has not failed
            result.errors.append(str(error))
            result.is_transient = True
        except OdhError as error:
            result.is_transient = isinstance(error, TransientError)
            self._fail(feed, extraction_date, WHOLE_DATASET, str(error), result)
        except Exception as error:  # a feed is a task: whatever ends it must not end the others
            log.exception("feed_crashed")
            self._fail(feed, extraction_date, WHOLE_DATASET, f"unexpected {type(error).__name__}: {error}", result)
        finally:
            structlog.contextvars.unbind_contextvars("feed", "extraction_date")
        return result

    def _drain(self, feed: Feed, result: FeedResult) -> FeedResult:
        """Take what was pushed, to this feed and to the others, for they share a log; nobody is asked for anything."""
        registry = self.registry or Registry([feed])
        done = Drain(self.settings, registry, self.ledger, self.lakehouse).load(self.run_id)
        result.loads += [load for load, _ in done.loads if load.feed == feed.feed]
        result.stored = len(result.loads)
        result.errors += done.errors
        result.note = None if result.loads else "nothing was pushed to it since the last time"
        return result

    def _extract(self, feed: Feed, day: date, result: FeedResult, on_progress: OnProgress) -> list[Manifest]:
        found, is_whole = self._find(feed, day, result)
        if not found and feed.is_auto and not result.errors:
            result.note = "nothing to load yet: it has no resource, or leaves them all to other feeds"
        elif not found and not result.errors:
            reason = "no resource of the dataset matches the feed's tables; check 'resources' in the feed file"
            self._fail(feed, day, WHOLE_DATASET, reason, result)
        manifests: list[Manifest] = []
        for number, (dataset, resource) in enumerate(found):
            on_bytes = _bytes_shown(f"{feed.feed}: {resource.title}", number, len(found), on_progress)
            try:
                manifests.append(self._extract_one(feed, day, dataset, resource, result, on_bytes))
            except OdhError as error:
                reason, is_gone = f"{resource.title}: {error}", isinstance(error, ResourceGone)
                result.is_transient |= isinstance(error, TransientError)
                self._fail(feed, day, resource.id, reason, result, resource, is_gone)
                if is_gone and feed.is_auto and not was_loaded(self.ledger, feed.feed, resource.id):
                    result.errors.remove(reason)  # nobody asked for this one, and nothing of it is missing
                    result.gone.append((resource.title, str(error)))
        if found and is_whole:
            listed = {"resources": len(found), "run_id": self.run_id, "listed_at": utc_now()}
            self.ledger.record_listing(feed=feed.feed, extraction_date=day, **listed)
        on_progress(feed.feed, len(found), len(found))
        return manifests

    def _replay(self, feed: Feed, day: date, result: FeedResult, on_progress: OnProgress) -> list[Manifest]:
        """What raw holds of a day, of the resources the feed takes as it is declared now."""
        committed = list(self.raw.manifests(feed.feed, day))
        manifests = [one for one in committed if self._is_wanted(feed, *_as_listed(one)) and self.raw.holds(one)]
        for number, manifest in enumerate(manifests):
            on_progress(f"{feed.feed}: {manifest.title}", number, len(manifests))
            self._note(feed, manifest, result)
        if not manifests:
            result.note = f"raw holds nothing of {day} to load" + (" that the feed takes" if committed else "")
        return manifests

    def _find(self, feed: Feed, day: date, result: FeedResult) -> tuple[list[tuple[Dataset, Resource]], bool]:
        """Every resource the feed wants, and whether that is all: of a search, a dataset that cannot be read ends no
        other.
        """
        found: dict[str, tuple[Dataset, Resource]] = {}
        is_whole = True
        for dataset in self._datasets(feed):
            stand_in = WHOLE_DATASET if feed.source.search is None else f"{WHOLE_DATASET} {dataset.id}"
            try:
                wanted = [one for one in self.portal.resources(dataset.id) if self._is_wanted(feed, dataset, one)]
            except PermanentError as error:
                if feed.source.search is None:
                    raise
                is_gone = isinstance(error, ResourceGone)
                self._fail(feed, day, stand_in, f"{dataset.title}: {error}", result, is_gone=is_gone)
                is_whole = False
                continue
            self.ledger.forget_extraction(feed.feed, day, stand_in)
            found.update({resource.id: (dataset, resource) for resource in wanted})
        self.ledger.forget_extraction(feed.feed, day, WHOLE_DATASET)
        return list(found.values()), is_whole

    def _is_wanted(self, feed: Feed, dataset: Dataset, resource: Resource) -> bool:
        """Whether a feed takes a resource, and none of the feeds it leaves things to does."""
        if not feed.takes(resource.title, resource.file_name):
            return False
        known = self.registry.feeds if self.registry else {}
        others = [known[name] for name in feed.source.leave_to if name in known]  # an archived one takes nothing
        return not any(
            _may_follow(feed, other, dataset) and other.takes(resource.title, resource.file_name) for other in others
        )

    def _datasets(self, feed: Feed) -> Iterator[Dataset]:
        source = feed.source
        if source.dataset is not None:
            yield self.portal.dataset(source.dataset)
        if source.search is not None:
            yield from self.portal.search(**source.search.model_dump())

    def _extract_one(
        self,
        feed: Feed,
        day: date,
        dataset: Dataset,
        resource: Resource,
        result: FeedResult,
        on_bytes: Callable[[int], None],
    ) -> Manifest:
        scratch = self.settings.scratch / self.run_id
        scratch.mkdir(parents=True, exist_ok=True)
        manifest = self.raw.extract(feed.feed, dataset, resource, day, self.downloader, scratch, on_bytes)
        self._note(feed, manifest, result)
        return manifest

    def _note(self, feed: Feed, manifest: Manifest, result: FeedResult) -> None:
        """Tell the ledger and the result of what raw committed for a resource."""
        table = feed.table_of(manifest.title, manifest.file_name)
        self.ledger.record_extraction(
            feed=feed.feed,
            extraction_date=manifest.extraction_date,
            resource_id=manifest.resource_id,
            run_id=self.run_id,
            dataset_id=manifest.dataset_id,
            title=manifest.title,
            table_name=table.name if table else None,
            status=manifest.status,
            reason=None,
            source_url=manifest.source_url,
            raw_key=manifest.key,
            file_name=manifest.file_name,
            sha256=manifest.sha256,
            size_bytes=manifest.size_bytes,
            etag=manifest.etag,
            http_status=manifest.http_status,
            evidence=manifest.evidence,
            started_at=manifest.started_at,
            finished_at=manifest.finished_at,
        )
        if manifest.finished_at < self.started_at:  # the day's one look was taken by an earlier run
            result.already += 1
        elif manifest.status == "unchanged":
            result.unchanged += 1
        else:
            result.stored += 1
            result.size_bytes += manifest.size_bytes

    def _load(self, feed: Feed, manifests: list[Manifest], result: FeedResult, on_progress: OnProgress) -> None:
        result.loads += self.loader.load(feed, manifests, on_progress)
        result.errors += [f"{load.place}: {load.reason}" for load in result.loads if load.is_error]
        for table in bronze_tables_of(
            self.ledger, feed.feed
        ):  # whatever brought them: a run before may have been killed
            keep_away(self.settings, self.ledger, self.loader.lakehouse, table, self.run_id)
        on_progress(feed.feed, 1, 1)

    def _fail(
        self,
        feed: Feed,
        day: date,
        resource_id: str,
        reason: str,
        result: FeedResult,
        resource: Resource | None = None,
        is_gone: bool = False,
    ) -> None:
        log.error("extraction_failed", resource_id=resource_id, reason=reason)
        result.errors.append(reason)
        table = feed.table_of(resource.title, resource.file_name) if resource else None
        self.ledger.record_extraction(
            feed=feed.feed,
            extraction_date=day,
            resource_id=resource_id,
            run_id=self.run_id,
            status="gone" if is_gone else "failed",
            reason=reason,
            title=resource.title if resource else None,
            table_name=table.name if table else None,
            source_url=resource.url if resource else None,
            finished_at=utc_now(),
        )


def _as_listed(manifest: Manifest) -> tuple[Dataset, Resource]:
    """A resource as the portal listed it when it was extracted."""
    dataset = Dataset(manifest.dataset_id, manifest.dataset_id, "", None, None, None, {})
    return dataset, replace(read_resource(manifest.portal), title=manifest.title, file_name=manifest.file_name)


def _may_follow(feed: Feed, other: Feed, dataset: Dataset) -> bool:
    """Whether another feed follows a dataset too; of two feeds on one dataset that is taken for granted."""
    return feed.source.dataset is not None or other.source.dataset in (None, dataset.id, dataset.slug)


def _bytes_shown(what: str, number: int, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    """Progress of one download within the progress of its feed."""
    received = 0

    def on_bytes(count: int) -> None:
        nonlocal received
        received += count
        on_progress(f"{what} {received / 1e6:.1f} MB", number, total)

    on_progress(what, number, total)
    return on_bytes

"""What each sign proves of a change, as docs/downloads.md tells it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from scripted_http import Answer, scripted_session
from shared_portal import DATA, requires_shared

from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.changes import Verdict, announced_change, received_change
from ingestion.download import Downloader
from ingestion.integrity import check_archive
from ingestion.portal import Checksum, Resource, read_dataset, read_resource
from ingestion.raw import Manifest, RawZone

OURS, OTHER, THIRD = b"a;b\n1;2\n", b"a;b\n1;3\n", b"a;b\n1;4\n2;5\n"
UNKNOWN, CHANGED, UNCHANGED = Verdict("unknown"), "changed", "unchanged"
BY_CHECKSUM = Verdict(UNCHANGED, "portal_checksum")
OTHER_CHECKSUM = Verdict(CHANGED, "portal_checksum")
BY_HINT = Verdict(CHANGED, "portal_hint")
MONDAY, TUESDAY, WEDNESDAY = date(2024, 2, 26), date(2024, 2, 27), date(2024, 2, 28)


def sha(content: bytes, algorithm: str = "sha1") -> str:
    return hashlib.new(algorithm, content).hexdigest()


@dataclass
class Copy:
    """The copy we hold, taken in from ``OURS``."""

    checksum: Checksum | None = None
    sha256: str = sha(OURS, "sha256")
    sha1: str | None = sha(OURS)
    size_bytes: int = len(OURS)
    contents_sha256: str | None = None
    http_status: int | None = 200
    portal: Mapping[str, Any] = field(default_factory=lambda: {"filetype": "file"})


def hosted(content: bytes | None, algorithm: str = "sha1", **more: Any) -> Resource:
    checksum = None if content is None else {"type": algorithm, "value": sha(content, algorithm)}
    return read_resource({"id": "r1", "url": "https://s.example/f", "filetype": "file", "checksum": checksum, **more})


def remote(**extras: Any) -> Resource:
    return read_resource({"id": "r1", "url": "https://s.example/f", "filetype": "remote", "extras": extras})


def seen(content: bytes, **more: Any) -> dict[str, Any]:
    """What the portal's crawler writes when it took these bytes in."""
    return {"analysis:checksum": sha(content), "analysis:content-length": len(content), **more}


def knowing(extras: Mapping[str, Any], **changes: Any) -> Copy:
    """Our copy, taken in while the portal said this."""
    return Copy(portal={"filetype": "remote", "extras": dict(extras)}, **changes)


MD5 = Checksum("md5", sha(OURS, "md5"))


@pytest.mark.parametrize(
    ("resource", "held", "expected"),
    [
        pytest.param(hosted(OURS), Copy(), BY_CHECKSUM, id="same-sha1"),
        pytest.param(hosted(OURS, "sha256"), Copy(), BY_CHECKSUM, id="same-sha256"),
        pytest.param(hosted(OURS, "md5"), Copy(MD5), BY_CHECKSUM, id="same-md5-as-verified-then"),
        pytest.param(hosted(OURS, "md5"), Copy(MD5, http_status=304), UNKNOWN, id="md5-never-verified"),
        pytest.param(hosted(OURS, "md5"), Copy(), UNKNOWN, id="md5-we-do-not-have"),
        pytest.param(hosted(OTHER), Copy(), OTHER_CHECKSUM, id="other-sha1"),
        pytest.param(hosted(OTHER, "md5"), Copy(MD5), OTHER_CHECKSUM, id="other-md5"),
        pytest.param(hosted(OTHER), Copy(sha1=None), UNKNOWN, id="manifest-of-before"),
        pytest.param(
            hosted(OURS),
            Copy(Checksum("sha1", sha(OURS)), sha1=None),
            BY_CHECKSUM,
            id="manifest-of-before-with-its-checksum",
        ),
        pytest.param(
            hosted(OTHER),
            Copy(Checksum("sha1", sha(OTHER)), portal={"filetype": "remote"}),
            OTHER_CHECKSUM,
            id="checksum-once-typed-for-another-servers-file",
        ),
        pytest.param(hosted(None), Copy(), UNKNOWN, id="no-checksum"),
        pytest.param(hosted(None, internal={"last_modified_internal": "2024-01-01"}), Copy(), UNKNOWN, id="date-only"),
        pytest.param(hosted(OURS, extras=seen(OTHER)), Copy(), BY_CHECKSUM, id="stale-hint-beside-the-checksum"),
    ],
)
def test_portal_vouches_for_what_it_hosts(resource: Resource, held: Copy, expected: Verdict) -> None:
    assert announced_change(resource, held) == expected


@pytest.mark.parametrize(
    ("extras", "held", "expected"),
    [
        pytest.param(seen(OTHER), knowing(seen(OURS)), BY_HINT, id="moved-to-other-bytes"),
        pytest.param(seen(OTHER), knowing({}), BY_HINT, id="first-seen-with-other-bytes"),
        pytest.param(seen(OURS), knowing(seen(OTHER)), UNKNOWN, id="crawler-caught-up-with-us"),
        pytest.param(seen(OURS), knowing(seen(OURS)), UNKNOWN, id="same-as-ours-may-be-stale"),
        pytest.param(seen(OTHER), knowing(seen(OTHER)), UNKNOWN, id="not-ours-but-did-not-move"),
        pytest.param({}, knowing(seen(OURS)), UNKNOWN, id="crawler-says-nothing-any-more"),
        pytest.param(seen(OTHER), knowing(seen(OURS), sha1=None), UNKNOWN, id="manifest-of-before"),
        pytest.param({"analysis:content-length": 9}, knowing({}), BY_HINT, id="size-moved-to-another"),
        pytest.param({"analysis:content-length": len(OURS)}, knowing({}), UNKNOWN, id="size-is-ours"),
        pytest.param(
            {"analysis:content-length": 9}, knowing({"analysis:content-length": 9}), UNKNOWN, id="size-did-not-move"
        ),
        pytest.param(seen(OURS) | {"analysis:content-length": 9}, knowing({}), UNKNOWN, id="checksum-over-size"),
        pytest.param({"analysis:content-length": True}, knowing({}), UNKNOWN, id="size-that-is-none"),
        pytest.param({"analysis:checksum": "d41d8"}, knowing({}), UNKNOWN, id="checksum-that-is-none"),
        pytest.param(
            {"analysis:last-modified-at": "2024-02-27", "check:date": "2024-02-27", "check:headers:etag": '"2"'}
            | {"check:headers:last-modified": "x", "check:headers:content-length": 9},
            knowing({}),
            UNKNOWN,
            id="dates-and-headers",
        ),
    ],
)
def test_hint_proves_a_change_or_nothing(extras: dict[str, Any], held: Copy, expected: Verdict) -> None:
    assert announced_change(remote(**extras), held) == expected


def test_checksum_of_another_servers_file_proves_nothing() -> None:
    body = {"id": "r1", "filetype": "remote", "checksum": {"type": "sha1", "value": sha(OURS)}}
    assert announced_change(read_resource(body), Copy(portal={})) == UNKNOWN


@pytest.mark.parametrize("metadata", [{}, {"extras": None}, {"extras": []}, {"extras": "x"}])
def test_odd_metadata_prove_nothing(metadata: dict[str, Any]) -> None:
    resource = read_resource({"id": "r1", **metadata})
    assert announced_change(resource, Copy(portal=metadata)) == UNKNOWN


@pytest.mark.parametrize(
    ("received", "contents", "held", "expected"),
    [
        (OURS, None, Copy(), Verdict(UNCHANGED, "sha256")),
        (OTHER, None, Copy(), Verdict(CHANGED, "sha256")),
        (OTHER, "inside", Copy(contents_sha256="inside"), Verdict(UNCHANGED, "members")),
        (OTHER, "inside", Copy(contents_sha256="else"), Verdict(CHANGED, "sha256")),
        (OTHER, "inside", Copy(), Verdict(CHANGED, "sha256")),
        (OURS, None, Copy(contents_sha256="inside"), Verdict(UNCHANGED, "sha256")),
    ],
    ids=["same-bytes", "other-bytes", "packed-anew", "other-inside", "archive-of-before", "no-archive"],
)
def test_received_bytes_prove_it(received: bytes, contents: str | None, held: Copy, expected: Verdict) -> None:
    assert received_change(sha(received, "sha256"), contents, held) == expected


@requires_shared
def test_hints_of_the_real_files_hide_no_change() -> None:
    """Each pair of successive states of a resource, as if another server held it: some hints there are stale."""
    pairs = stale = 0
    for dataset in json.loads((DATA / "portal.json").read_text())["datasets"]:
        for resource in dataset["resources"]:
            states = resource.get("versions", [])
            for before, after in pairwise(states):
                old, new = ((DATA / "datasets" / state["file"]).read_bytes() for state in (before, after))
                held = knowing(before.get("extras", {}), sha1=sha(old), sha256=sha(old, "sha256"), size_bytes=len(old))
                verdict = announced_change(remote(**after.get("extras", {})), held)
                assert verdict.outcome in ((UNKNOWN.outcome, CHANGED) if old != new else (UNKNOWN.outcome,))
                claimed = after.get("extras", {}).get("analysis:checksum")
                pairs, stale = pairs + 1, stale + (claimed == sha(old) != sha(new))
    assert pairs >= 20
    assert stale >= 2


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, year: int = 2024) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), content, method)
    return buffer.getvalue()


A, B = ("a.csv", OURS), ("dir/b.csv", OTHER)


def contents(folder: Path, content: bytes) -> str | None:
    path = folder / "file"
    path.write_bytes(content)
    return check_archive(path, 10**6).contents_sha256


@pytest.mark.parametrize(
    ("one", "another", "is_same"),
    [
        pytest.param(zipped(A, B), zipped(A, B, year=2025), True, id="packed-another-day"),
        pytest.param(zipped(A, B), zipped(B, A), True, id="another-order"),
        pytest.param(zipped(A, B), zipped(A, B, method=zipfile.ZIP_STORED), True, id="another-method"),
        pytest.param(zipped(A, B), zipped(("dir/", b""), A, B), True, id="with-the-folder-named"),
        pytest.param(zipped(A, B), zipped(A), False, id="one-less"),
        pytest.param(zipped(A), zipped(A, ("a.csv ", OURS)), False, id="one-more"),
        pytest.param(zipped(A, B), zipped(A, ("b.csv", OTHER)), False, id="renamed"),
        pytest.param(zipped(A), zipped(("a.csv", OTHER)), False, id="a-byte"),
        pytest.param(zipped(("a", OURS), ("b", OTHER)), zipped(("a", OTHER), ("b", OURS)), False, id="swapped"),
        pytest.param(gzip.compress(OURS, mtime=1), gzip.compress(OURS, 1, mtime=2), True, id="gzip-of-another-day"),
        pytest.param(gzip.compress(OURS), gzip.compress(OTHER), False, id="gzip-of-another-file"),
        pytest.param(gzip.compress(OURS), zipped(("", OURS)), False, id="another-kind"),
    ],
)
def test_contents_of_archives_are_compared_whatever_the_packing(
    tmp_path: Path, one: bytes, another: bytes, is_same: bool
) -> None:
    assert one != another
    assert (contents(tmp_path, one) == contents(tmp_path, another)) is is_same


def test_contents_nobody_can_read_are_not_compared(tmp_path: Path) -> None:
    sealed = bytearray(zipped(A))
    sealed[6] |= 1  # the first member is encrypted, says its header
    sealed[sealed.rindex(b"PK\x01\x02") + 8] |= 1  # and the directory
    assert contents(tmp_path, bytes(sealed)) is None
    assert contents(tmp_path, OURS) is None


class Lake:
    """A raw zone, and looks at one remote resource by written-down answers."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(lake=folder, http_retries=0)
        self.zone = RawZone(raw_store(self.settings))

    def look(
        self, day: date, answer: Answer, resource: Resource | None = None
    ) -> tuple[Manifest, list[requests.PreparedRequest]]:
        session, asked = scripted_session(answer)
        moment = datetime(2024, 2, 29, tzinfo=UTC)
        downloader = Downloader(
            self.settings, session, sleep=lambda _: None, now=lambda: moment, resolve=lambda host: ["198.41.0.4"]
        )
        dataset, scratch = read_dataset({"id": "d1"}), self.settings.scratch
        return self.zone.extract("f", dataset, resource or remote(), day, downloader, scratch), asked


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


TAG = {"ETag": '"1"', "Last-Modified": "Mon, 26 Feb 2024 00:00:00 GMT"}


@pytest.mark.parametrize(
    ("answer", "resource", "status", "evidence"),
    [
        pytest.param(Answer(304), remote(), "unchanged", "not_modified", id="not-modified"),
        pytest.param(Answer(200, OURS), remote(), "unchanged", "sha256", id="same-bytes"),
        pytest.param(Answer(200, OTHER), remote(), "stored", "sha256", id="other-bytes"),
        pytest.param(Answer(200, OTHER), remote(**seen(OTHER)), "stored", "portal_hint", id="hinted"),
        pytest.param(Answer(200, OURS), remote(**seen(OTHER)), "unchanged", "sha256", id="hinted-in-vain"),
        pytest.param(Answer(500), hosted(OURS), "unchanged", "portal_checksum", id="checksum-asks-nobody"),
        pytest.param(Answer(200, OTHER), hosted(OTHER), "stored", "portal_checksum", id="checksum-moved"),
    ],
)
def test_manifest_names_the_sign_that_decided(
    lake: Lake, answer: Answer, resource: Resource, status: str, evidence: str
) -> None:
    first, _ = lake.look(MONDAY, Answer(200, OURS, TAG))
    assert (first.status, first.evidence) == ("stored", "new")
    second, _ = lake.look(TUESDAY, answer, resource)
    assert (second.status, second.evidence) == (status, evidence)
    assert (second.key == first.key) is (status == "unchanged")


def test_proven_change_is_not_put_to_a_server_that_may_not_have_noticed(lake: Lake) -> None:
    lake.look(MONDAY, Answer(200, OURS, TAG))
    _, asked = lake.look(TUESDAY, Answer(200, OTHER, TAG), remote(**seen(OTHER)))
    assert not {"If-None-Match", "If-Modified-Since"} & set(asked[0].headers)
    _, asked = lake.look(WEDNESDAY, Answer(304), remote(**seen(OTHER)))  # the hint did not move again
    assert asked[0].headers["If-None-Match"] == '"1"'


def test_archive_packed_anew_is_no_new_file(lake: Lake) -> None:
    first, _ = lake.look(MONDAY, Answer(200, zipped(A, B), {"ETag": '"1"'}))
    again = zipped(B, A, year=2025)
    second, _ = lake.look(TUESDAY, Answer(200, again, {"ETag": '"2"'}))
    assert (second.status, second.evidence, second.key) == ("unchanged", "members", first.key)
    assert (second.sha256, second.size_bytes) == (first.sha256, first.size_bytes)  # of the bytes at that key
    assert (second.sha1, second.etag) == (sha(again), '"2"')
    third, asked = lake.look(WEDNESDAY, Answer(304))
    assert asked[0].headers["If-None-Match"] == '"2"'
    assert (third.evidence, third.key) == ("not_modified", first.key)
    changed, _ = lake.look(date(2024, 3, 1), Answer(200, zipped(A, ("dir/b.csv", THIRD))))
    assert (changed.status, changed.evidence) == ("stored", "sha256")


def test_portals_checksum_of_an_archive_packed_anew_is_known_again(lake: Lake) -> None:
    one, again = zipped(A), zipped(A, year=2025)
    lake.look(MONDAY, Answer(200, one), hosted(one))
    second, _ = lake.look(TUESDAY, Answer(200, again), hosted(again))
    assert (second.status, second.evidence) == ("unchanged", "members")
    third, asked = lake.look(WEDNESDAY, Answer(500), hosted(again))
    assert (asked, third.evidence) == ([], "portal_checksum")


def test_etag_that_changes_alone_is_not_asked_with_again(lake: Lake) -> None:
    lake.look(MONDAY, Answer(200, OURS, TAG))
    second, _ = lake.look(TUESDAY, Answer(200, OURS, TAG | {"ETag": '"another-server"'}))
    assert (second.evidence, second.unsteady_etag) == ("sha256", True)
    for day in (WEDNESDAY, date(2024, 3, 1)):
        found, asked = lake.look(day, Answer(304))
        assert "If-None-Match" not in asked[0].headers
        assert asked[0].headers["If-Modified-Since"] == TAG["Last-Modified"]
        assert found.evidence == "not_modified"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"ETag": '"2"', "Last-Modified": "Tue, 27 Feb 2024 00:00:00 GMT"}, id="touched"),
        pytest.param({"ETag": '"2"'}, id="no-date"),
        pytest.param(TAG, id="same"),
    ],
)
def test_etag_that_may_be_good_is_asked_with(lake: Lake, headers: dict[str, str]) -> None:
    lake.look(MONDAY, Answer(200, OURS, TAG))
    second, _ = lake.look(TUESDAY, Answer(200, OURS, headers))
    assert second.unsteady_etag is False
    _, asked = lake.look(WEDNESDAY, Answer(304))
    assert asked[0].headers["If-None-Match"] == headers["ETag"]


def test_manifest_of_before_is_read_and_trusted_no_further(lake: Lake) -> None:
    first, _ = lake.look(MONDAY, Answer(200, OURS, TAG))
    new = {"evidence", "sha1", "contents_sha256", "unsteady_etag"}
    store = raw_store(lake.settings)
    store.put_bytes(first.model_dump_json(exclude=new).encode(), "f/extraction_date=2024-02-26/r1.manifest.json")
    assert lake.zone.manifest("f", MONDAY, "r1") == first.model_copy(
        update={"evidence": None, "sha1": None, "contents_sha256": None}
    )
    second, _ = lake.look(TUESDAY, Answer(200, OURS))
    assert (second.status, second.sha1) == ("unchanged", sha(OURS))

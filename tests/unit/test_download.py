"""Bytes are accepted only when they are what was announced; without a network."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from scripted_http import Answer, scripted_session

from catalog.errors import BadDownload, PortalUnavailable, Refused, ResourceGone
from catalog.settings import Settings
from ingestion.download import Downloader, Validators
from ingestion.portal import Resource, read_resource

ROWS = b"code;nom\n01001;L'Abergement\n"
NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


def sha(algorithm: str, content: bytes = ROWS) -> dict[str, str]:
    return {"type": algorithm, "value": hashlib.new(algorithm, content).hexdigest()}


def hosted(**changes: Any) -> Resource:
    body = {"id": "r1", "title": "Communes", "url": "https://static.example/communes.csv", "filetype": "file"}
    return read_resource({**body, "format": "csv", "filesize": len(ROWS), "checksum": sha("sha1"), **changes})


def remote(**changes: Any) -> Resource:
    return hosted(**{"filetype": "remote", "checksum": None, "filesize": None, **changes})


def downloader(
    *answers: Answer | Exception, resolve: Any = None, **settings: Any
) -> tuple[Downloader, list[requests.PreparedRequest]]:
    session, asked = scripted_session(*answers)
    ticks = iter(NOON + timedelta(seconds=number) for number in range(100))
    made = Downloader(
        Settings(**{"portal_url": "https://portal.example", "http_retries": 2, "http_backoff_seconds": 0, **settings}),
        session,
        sleep=lambda _: None,
        now=lambda: next(ticks),
        resolve=resolve or (lambda host: ["198.41.0.4"]),
    )
    return made, asked


def refusal(folder: Path, resource: Resource, *answers: Answer | Exception, **settings: Any) -> tuple[Exception, int]:
    """The error a download ends with and the requests it took; nothing may be left behind."""
    made, asked = downloader(*answers, **settings)
    with pytest.raises((BadDownload, PortalUnavailable, Refused, ResourceGone)) as caught:
        made.fetch(resource, folder)
    assert list(folder.iterdir()) == []
    return caught.value, len(asked)


def test_good_file_is_kept_with_what_was_said_of_it(tmp_path: Path) -> None:
    headers = {"ETag": '"abc"', "Last-Modified": "Mon, 21 Oct 2024 09:12:04 GMT", "Content-Type": "text/csv"}
    made, asked = downloader(Answer(200, ROWS, headers))
    download = made.fetch(hosted(), tmp_path / "new")
    assert download is not None
    assert download.path.read_bytes() == ROWS
    assert download.path.parent == tmp_path / "new"
    assert download.path.suffix == ".part"
    assert (download.size_bytes, download.sha256) == (len(ROWS), hashlib.sha256(ROWS).hexdigest())
    assert (download.etag, download.last_modified, download.content_type) == tuple(headers.values())
    assert (download.http_status, download.final_url) == (200, "https://static.example/communes.csv")
    assert (download.started_at, download.finished_at) == (NOON, NOON + timedelta(seconds=1))
    assert asked[0].headers["Accept-Encoding"] == "identity"
    assert "If-None-Match" not in asked[0].headers


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_checksum_of_each_kind_is_verified(tmp_path: Path, algorithm: str) -> None:
    made, _ = downloader(Answer(200, ROWS))
    assert made.fetch(hosted(checksum=sha(algorithm)), tmp_path)
    error, requests_made = refusal(tmp_path / "bad", hosted(checksum=sha(algorithm, b"other")), Answer(200, ROWS))
    assert isinstance(error, BadDownload)
    assert f"has {algorithm} {sha(algorithm)['value']}" in str(error)
    assert requests_made == 3


@pytest.mark.parametrize("algorithm", ["crc", "sha2", "blake9"])
def test_checksum_of_an_unknown_kind_is_left_aside(tmp_path: Path, algorithm: str) -> None:
    made, _ = downloader(Answer(200, ROWS))
    assert made.fetch(hosted(checksum={"type": algorithm, "value": "0"}), tmp_path)


@pytest.mark.parametrize(
    ("resource", "answer", "reason"),
    [
        pytest.param(hosted(), Answer(200, ROWS[:-1]), "brought 27 bytes where the portal announced 28", id="short"),
        pytest.param(hosted(), Answer(200, ROWS + b"x"), "brought 29 bytes where the portal", id="long"),
        pytest.param(hosted(), Answer(200, ROWS[:-1] + b"x"), "has sha1", id="last-byte"),
        pytest.param(hosted(), Answer(200, ROWS, announced=99), "stopped before its end", id="cut"),
        pytest.param(remote(), Answer(200, b""), "is empty", id="empty"),
        pytest.param(remote(), Answer(200, b"<!doctype html><p>"), "is a web page, not the csv", id="web-page"),
        pytest.param(remote(), Answer(200, gzip.compress(ROWS)[:-3]), "is a broken gzip file", id="gzip-cut"),
        pytest.param(
            remote(), Answer(200, ROWS, {"Content-Encoding": "gzip"}), "stopped before its end", id="not-the-encoding"
        ),
    ],
)
def test_bytes_not_as_announced_are_tried_again_then_refused(
    tmp_path: Path, resource: Resource, answer: Answer, reason: str
) -> None:
    error, requests_made = refusal(tmp_path, resource, answer)
    assert isinstance(error, BadDownload)
    assert reason in str(error)
    assert "tried 3 times" in str(error)
    assert requests_made == 3


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Answer(503), id="unavailable"),
        pytest.param(Answer(429), id="too-many"),
        pytest.param(requests.ConnectTimeout("silence"), id="timeout"),
        pytest.param(requests.ConnectionError("no such host"), id="connection"),
    ],
)
def test_server_without_answer_is_tried_again_then_reported(tmp_path: Path, failure: Answer | Exception) -> None:
    error, requests_made = refusal(tmp_path, hosted(), failure)
    assert isinstance(error, PortalUnavailable)
    assert "https://static.example/communes.csv" in str(error)
    assert requests_made == 3


def test_second_try_may_succeed(tmp_path: Path) -> None:
    told: list[int] = []
    made, asked = downloader(Answer(200, ROWS[:-1]), Answer(503), Answer(200, ROWS))
    assert made.fetch(hosted(), tmp_path, on_bytes=told.append)
    assert len(asked) == 3
    assert len(list(tmp_path.iterdir())) == 1
    assert told == [27, -27, 28]  # a progress bar ends where the file does


@pytest.mark.parametrize("status", [404, 410])
def test_missing_file_is_gone_at_once(tmp_path: Path, status: int) -> None:
    error, requests_made = refusal(tmp_path, hosted(), Answer(status))
    assert isinstance(error, ResourceGone)
    assert "Resource r1 ('Communes')" in str(error)
    assert requests_made == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(Answer(401), "HTTP 401", id="needs-a-login"),
        pytest.param(Answer(304), "HTTP 304", id="not-modified-unasked"),
        pytest.param(Answer(200, ROWS, {"Content-Encoding": "br"}), "encoded as 'br'", id="unknown-encoding"),
        pytest.param(Answer(301, headers={"Location": "https://static.example/"}), "5 times", id="circle"),
        pytest.param(Answer(302, headers={"Location": "file:///etc/passwd"}), "no http or https", id="to-a-file"),
        pytest.param(Answer(302, headers={"Location": "http://a.example:port/"}), "is not a URL", id="to-nonsense"),
    ],
)
def test_what_no_further_try_can_help_is_refused(tmp_path: Path, answer: Answer, reason: str) -> None:
    error, requests_made = refusal(tmp_path, hosted(), answer)
    assert isinstance(error, Refused)
    assert reason in str(error)
    assert requests_made <= 6


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://ftp.example/f.csv"])
def test_address_that_is_not_http_is_never_asked(tmp_path: Path, url: str) -> None:
    error, requests_made = refusal(tmp_path, hosted(url=url), Answer(200, ROWS))
    assert isinstance(error, Refused)
    assert requests_made == 0


def test_redirect_to_a_private_address_is_not_followed(tmp_path: Path) -> None:
    addresses = {"static.example": ["198.41.0.4"], "inside.example": ["10.0.0.1"]}
    moved = Answer(302, headers={"Location": "http://inside.example/admin"})
    error, requests_made = refusal(tmp_path, hosted(), moved, resolve=addresses.__getitem__)
    assert isinstance(error, Refused)
    assert "10.0.0.1, which is not a public address" in str(error)
    assert requests_made == 1


def test_redirect_is_followed_relative_to_where_it_was_said(tmp_path: Path) -> None:
    made, asked = downloader(Answer(307, headers={"Location": "../v2/communes.csv"}), Answer(200, ROWS))
    download = made.fetch(hosted(url="https://static.example/v1/a/f.csv"), tmp_path)
    assert download is not None
    assert download.final_url == asked[-1].url == "https://static.example/v1/v2/communes.csv"


@pytest.mark.parametrize(
    ("resource", "needed"), [(hosted(), 0), (remote(), 1), (remote(filesize=1), 1)], ids=["hosted", "remote", "lying"]
)
def test_large_file_is_refused_before_its_bytes(tmp_path: Path, resource: Resource, needed: int) -> None:
    error, requests_made = refusal(tmp_path, resource, Answer(200, ROWS), download_max_bytes=27)
    assert isinstance(error, Refused)
    assert "has 28 bytes or more; the limit is 27. Raise ODH_DOWNLOAD_MAX_BYTES" in str(error)
    assert requests_made == needed


def test_large_file_of_unknown_length_is_refused_on_the_way(tmp_path: Path) -> None:
    packed = Answer(200, gzip.compress(ROWS), {"Content-Encoding": "gzip"})
    error, _ = refusal(tmp_path, remote(), packed, download_max_bytes=27)
    assert isinstance(error, Refused)
    assert "the limit is 27" in str(error)


def test_content_encoding_is_undone_and_its_length_not_compared(tmp_path: Path) -> None:
    made, _ = downloader(Answer(200, gzip.compress(ROWS), {"Content-Encoding": "gzip"}))
    download = made.fetch(hosted(), tmp_path)
    assert download is not None
    assert download.path.read_bytes() == ROWS


def test_declared_html_may_be_html(tmp_path: Path) -> None:
    page = Answer(200, b"<!DOCTYPE html><table>")
    assert downloader(page)[0].fetch(remote(format="HTML"), tmp_path)
    assert downloader(page)[0].fetch(remote(format=None, mime="text/html"), tmp_path)


def test_damage_that_was_published_is_not_asked_for_again(tmp_path: Path) -> None:
    broken = gzip.compress(ROWS)[:-3]
    resource = hosted(filesize=len(broken), checksum=sha("sha1", broken))
    error, requests_made = refusal(tmp_path, resource, Answer(200, broken))
    assert isinstance(error, Refused)
    assert "is a broken gzip file" in str(error)
    assert requests_made == 1


def test_what_the_portal_says_of_another_servers_file_is_not_held_against_it(tmp_path: Path) -> None:
    made, _ = downloader(Answer(200, ROWS))
    assert made.fetch(remote(filesize=1, checksum=sha("sha1", b"years ago")), tmp_path)


def test_unchanged_file_is_not_sent_again(tmp_path: Path) -> None:
    made, asked = downloader(Answer(304))
    assert made.fetch(hosted(), tmp_path, known=Validators('"abc"', "Mon, 21 Oct 2024 09:12:04 GMT")) is None
    assert asked[0].headers["If-None-Match"] == '"abc"'
    assert asked[0].headers["If-Modified-Since"] == "Mon, 21 Oct 2024 09:12:04 GMT"
    assert list(tmp_path.iterdir()) == []


def test_empty_validators_ask_for_the_file(tmp_path: Path) -> None:
    made, asked = downloader(Answer(200, ROWS))
    assert made.fetch(hosted(), tmp_path, known=Validators(None, None))
    assert "If-Modified-Since" not in asked[0].headers


def test_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        if _ > 0:
            raise KeyboardInterrupt

    made, _ = downloader(Answer(200, ROWS))
    with pytest.raises(KeyboardInterrupt):
        made.fetch(hosted(), tmp_path, on_bytes=interrupt)
    assert list(tmp_path.iterdir()) == []


DATED = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Date": "Thu, 29 Feb 2024 12:00:00 GMT"}
STRONG = {"ETag": '"v1"'}


def cut(headers: dict[str, str], at: int = 10) -> Answer:
    return Answer(200, ROWS[:at], headers, announced=len(ROWS))


def rest(start: int = 10, total: int = len(ROWS), content: bytes | None = None, **headers: str) -> Answer:
    body = ROWS[start:] if content is None else content
    said = {"Content-Range": f"bytes {start}-{total - 1}/{total}", "ETag": '"v1"'}
    return Answer(206, body, {name: value for name, value in {**said, **headers}.items() if value})


@pytest.mark.parametrize(
    ("headers", "validator", "answer"),
    [
        pytest.param(STRONG, '"v1"', rest(), id="strong-etag"),
        pytest.param(DATED, DATED["Last-Modified"], rest(ETag=""), id="date"),
        pytest.param(STRONG | DATED, '"v1"', rest(), id="etag-before-date"),
        pytest.param(STRONG, '"v1"', rest(**{"Content-Range": "bytes 10-28/29"}), id="total-of-the-rest"),
    ],
)
def test_cut_download_is_continued(tmp_path: Path, headers: dict[str, str], validator: str, answer: Answer) -> None:
    whole = ROWS if "28/29" not in str(answer.headers) else ROWS + b"x"
    first = Answer(200, whole[:10], {**headers, "Content-Type": "text/csv"}, announced=len(whole))
    told: list[int] = []
    made, asked = downloader(first, Answer(answer.status, whole[10:], answer.headers))
    download = made.fetch(remote(), tmp_path, on_bytes=told.append)
    assert download is not None
    assert download.path.read_bytes() == whole
    assert (download.size_bytes, download.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert (download.http_status, download.etag) == (206, headers.get("ETag"))
    assert (download.last_modified, download.content_type) == (headers.get("Last-Modified"), "text/csv")
    assert (asked[1].headers["Range"], asked[1].headers["If-Range"]) == ("bytes=10-", validator)
    assert told == [10, len(whole) - 10]
    assert list(tmp_path.iterdir()) == [download.path]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing-to-know-it-by"),
        pytest.param({"ETag": 'W/"v1"'}, id="weak-etag"),
        pytest.param({"ETag": 'W/"v1"', **DATED}, id="weak-etag-and-date"),
        pytest.param({"ETag": "v1"}, id="etag-that-is-none"),
        pytest.param({"Last-Modified": DATED["Last-Modified"]}, id="date-without-now"),
        pytest.param(DATED | {"Date": "Mon, 01 Jan 2024 00:00:30 GMT"}, id="date-too-young"),
        pytest.param(DATED | {"Last-Modified": "yesterday"}, id="date-that-is-none"),
    ],
)
def test_cut_download_of_an_unsure_file_begins_again(tmp_path: Path, headers: dict[str, str]) -> None:
    told: list[int] = []
    made, asked = downloader(cut(headers), Answer(200, ROWS))
    assert made.fetch(remote(), tmp_path, on_bytes=told.append)
    assert "Range" not in asked[1].headers
    assert told == [10, -10, len(ROWS)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(rest(start=9), id="overlaps"),
        pytest.param(rest(start=11), id="leaves-a-gap"),
        pytest.param(rest(total=len(ROWS) + 5), id="of-another-size"),
        pytest.param(rest(ETag='"v2"'), id="of-another-file"),
        pytest.param(rest(ETag=""), id="of-no-named-file"),
        pytest.param(rest(**{"Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}), id="of-another-date"),
        pytest.param(rest(**{"Content-Range": "bytes 10-20/28"}), id="a-piece-only"),
        pytest.param(rest(**{"Content-Range": "lines 1-2/3"}), id="other-units"),
        pytest.param(rest(**{"Content-Range": ""}), id="unsaid"),
        pytest.param(rest(**{"Content-Encoding": "gzip"}), id="packed"),
        pytest.param(Answer(416), id="refused"),
    ],
)
def test_rest_that_does_not_fit_is_thrown_away(tmp_path: Path, answer: Answer) -> None:
    made, asked = downloader(cut(STRONG), answer, Answer(200, ROWS))
    download = made.fetch(remote(), tmp_path)
    assert download is not None
    assert download.path.read_bytes() == ROWS
    assert "Range" not in asked[2].headers
    assert list(tmp_path.iterdir()) == [download.path]


def test_whole_answer_to_a_question_for_the_rest_begins_again(tmp_path: Path) -> None:
    newer = ROWS + b"69123;Lyon\n"
    made, _ = downloader(cut(STRONG), Answer(200, newer, {"ETag": '"v2"'}))
    download = made.fetch(remote(), tmp_path)
    assert download is not None
    assert (download.path.read_bytes(), download.etag) == (newer, '"v2"')


def test_rest_nobody_asked_for_is_not_taken(tmp_path: Path) -> None:
    error, requests_made = refusal(tmp_path, remote(), rest())
    assert isinstance(error, BadDownload)
    assert requests_made == 3


def test_continued_file_is_judged_whole(tmp_path: Path) -> None:
    spoilt = rest(content=ROWS[10:-1] + b"x")
    error, requests_made = refusal(tmp_path, hosted(), cut(STRONG), spoilt, cut(STRONG), spoilt, http_retries=3)
    assert "has sha1" in str(error)
    assert requests_made == 4


def test_bytes_that_were_wrong_are_not_continued(tmp_path: Path) -> None:
    made, asked = downloader(Answer(200, ROWS[:-1] + b"x", STRONG), Answer(200, ROWS, STRONG))
    assert made.fetch(hosted(), tmp_path)
    assert "Range" not in asked[1].headers


def test_busy_server_between_two_halves_costs_no_bytes(tmp_path: Path) -> None:
    made, asked = downloader(cut(STRONG), Answer(503), rest())
    assert made.fetch(remote(), tmp_path)
    assert [request.headers.get("Range") for request in asked] == [None, "bytes=10-", "bytes=10-"]


def test_changed_back_while_it_was_cut(tmp_path: Path) -> None:
    made, _ = downloader(cut({"ETag": '"v2"'}), Answer(304))
    assert made.fetch(remote(), tmp_path, known=Validators('"v1"', None)) is None
    assert list(tmp_path.iterdir()) == []


LARGE = b"0123456789abcdef" * 2**17  # 2 MiB
STEP = 2**20 + 16


def large_answers(size: int) -> tuple[Answer, Answer]:
    said = {"ETag": '"v1"'}
    ranged = {**said, "Content-Range": f"bytes {STEP}-{size - 1}/{size}"}
    return Answer(200, LARGE[:STEP], said, announced=size), Answer(206, LARGE[STEP:], ranged)


def test_next_run_goes_on_where_the_last_was_cut(tmp_path: Path) -> None:
    first, second = large_answers(len(LARGE))
    made, _ = downloader(first, Answer(503), lake=tmp_path)
    with pytest.raises(PortalUnavailable):
        made.fetch(remote(), tmp_path / "tmp")
    assert list((tmp_path / "tmp").iterdir()) == []
    made, asked = downloader(second, lake=tmp_path)
    download = made.fetch(remote(), tmp_path / "tmp")
    assert download is not None
    assert asked[0].headers["Range"] == f"bytes={STEP}-"
    assert download.path.read_bytes() == LARGE
    assert list((tmp_path / "partial").iterdir()) == []


@pytest.mark.parametrize("answer", [Answer(404), Answer(403)], ids=["gone", "refused"])
def test_file_that_will_never_come_leaves_nothing(tmp_path: Path, answer: Answer) -> None:
    made, _ = downloader(large_answers(len(LARGE))[0], answer, lake=tmp_path)
    with pytest.raises((ResourceGone, Refused)):
        made.fetch(remote(), tmp_path / "tmp")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_try_that_brought_much_does_not_count(tmp_path: Path) -> None:
    size = len(LARGE)
    first, second = large_answers(size)
    made, asked = downloader(first, Answer(503), Answer(503), second, lake=tmp_path, http_retries=2)
    assert made.fetch(remote(), tmp_path / "tmp")
    assert len(asked) == 4


def clocked(*answers: Answer | Exception, **settings: Any) -> Downloader:
    """A downloader whose clock goes on a second at each look."""
    ticks = iter(range(10_000))
    return Downloader(
        Settings(**{"http_retries": 5, "http_backoff_seconds": 0, **settings}),
        scripted_session(*answers)[0],
        sleep=lambda _: None,
        clock=lambda: float(next(ticks)),
        resolve=lambda host: ["198.41.0.4"],
    )


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        pytest.param(Answer(200, LARGE * 4, STRONG), 2, id="drips-for-ever"),
        pytest.param(Answer(200, LARGE * 4), 0, id="drips-and-cannot-go-on"),
        pytest.param(Answer(503), 0, id="never-ready"),
    ],
)
def test_download_that_takes_too_long_is_given_up(tmp_path: Path, answer: Answer, kept: int) -> None:
    made = clocked(answer, lake=tmp_path, download_timeout_seconds=8)
    with pytest.raises(BadDownload, match=r"bytes in 8 seconds and was given up.*ODH_DOWNLOAD_TIMEOUT_SECONDS"):
        made.fetch(remote(), tmp_path / "tmp")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert len(list((tmp_path / "partial").glob("*"))) == kept  # the bytes and their note, for the next run


def test_download_in_time_is_taken(tmp_path: Path) -> None:
    assert clocked(Answer(200, ROWS), lake=tmp_path, download_timeout_seconds=8).fetch(remote(), tmp_path)


def test_gzip_file_labelled_so_is_kept_as_it_is(tmp_path: Path) -> None:
    packed = gzip.compress(ROWS)
    resource = hosted(url="https://static.example/a.csv.gz?v=1", filesize=len(packed), checksum=sha("sha1", packed))
    download = downloader(Answer(200, packed, {"Content-Encoding": "gzip"}))[0].fetch(resource, tmp_path)
    assert download is not None
    assert download.path.read_bytes() == packed


def test_every_digest_is_of_the_bytes_received(tmp_path: Path) -> None:
    download = downloader(Answer(200, ROWS))[0].fetch(hosted(checksum=sha("md5")), tmp_path)
    assert download is not None
    assert (download.sha1, download.sha256) == (sha("sha1")["value"], sha("sha256")["value"])


def test_server_that_asks_for_rest_is_left_alone_by_every_download(tmp_path: Path) -> None:
    waits: list[float] = []
    session, _ = scripted_session(Answer(429, headers={"Retry-After": "7"}), Answer(200, ROWS))
    made = Downloader(
        Settings(lake=tmp_path, http_retries=0),
        session,
        sleep=waits.append,
        clock=lambda: 100.0,
        resolve=lambda host: ["198.41.0.4"],
    )
    with pytest.raises(PortalUnavailable, match="HTTP 429"):
        made.fetch(hosted(), tmp_path)
    assert made.fetch(hosted(url="https://another.example/f.csv"), tmp_path)
    assert waits == []
    assert made.fetch(hosted(id="r2"), tmp_path)
    assert waits == [7.0]

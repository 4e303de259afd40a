"""Downloads that were cut: what is asked for the rest, when a file is begun again, and when it is given up."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from downloads import ROWS, downloader, hosted, refusal, remote
from scripted_http import Answer, scripted_session

from catalog.errors import BadDownload, PortalUnavailable, Refused, ResourceGone
from catalog.settings import Settings
from ingestion.download import Downloader, Validators

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

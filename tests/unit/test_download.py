"""Bytes are accepted only when they are what was announced; without a network."""

from __future__ import annotations

import gzip
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from downloads import NOON, ROWS, downloader, hosted, refusal, remote, sha
from scripted_http import Answer, scripted_session

from catalog.errors import BadDownload, PortalUnavailable, Refused, ResourceGone
from catalog.settings import Settings
from ingestion.download import Downloader, Validators
from ingestion.portal import Resource


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

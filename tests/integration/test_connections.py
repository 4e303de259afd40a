"""The downloader against servers of this machine that answer in every odd way of HTTP/1.1."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from odd_servers import HEAD, Talk, resource_at, saying, server

from catalog.errors import BadDownload, PortalUnavailable, Refused
from catalog.settings import Settings
from ingestion.addresses import AddressRule
from ingestion.connections import GuardedAdapter
from ingestion.download import Downloader

PUBLIC_PORTAL = "https://www.data.gouv.fr"
ROWS = b"code;nom\n01001;L'Abergement\n"


def downloader(place: str, lake: Path, **settings: Any) -> Downloader:
    chosen = {"http_retries": 0, "http_backoff_seconds": 0, "http_timeout_seconds": 5, **settings}
    return Downloader(Settings(portal_url=f"http://{place}", lake=lake, **chosen))


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(ROWS), ROWS)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([CHUNKED, CHUNK, b"0\r\n\r\n"], id="chunked"),
        pytest.param([CHUNKED, CHUNK[:9], CHUNK[9:], b"0\r\n\r\n"], id="chunked-in-pieces"),
        pytest.param([HEAD, b"\r\n", ROWS], id="no-length-ends-with-the-connection"),
    ],
)
def test_answer_without_length_is_taken(tmp_path: Path, answer: list[bytes]) -> None:
    with server(saying(*answer)) as place:
        download = downloader(place, tmp_path).fetch(resource_at(place), tmp_path / "tmp")
    assert download is not None
    assert download.path.read_bytes() == ROWS


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param([CHUNKED, CHUNK], "stopped before its end", id="chunks-cut-between-two"),
        pytest.param([CHUNKED, CHUNK[:9]], "stopped before its end", id="chunk-cut"),
        pytest.param([CHUNKED, b"zz\r\n"], "stopped before its end", id="chunk-of-nonsense"),
        pytest.param([HEAD, b"Content-Length: 0\r\n\r\n"], "is empty", id="nothing"),
        pytest.param([HEAD, b"\r\n"], "is empty", id="nothing-of-no-length"),
    ],
)
def test_answer_that_is_cut_or_empty_is_not_taken(tmp_path: Path, answer: list[bytes], reason: str) -> None:
    with server(saying(*answer)) as place, pytest.raises(BadDownload, match=reason):
        downloader(place, tmp_path).fetch(resource_at(place), tmp_path / "tmp")
    assert list((tmp_path / "tmp").iterdir()) == []


def dripping(start: bytes, drop: bytes) -> Talk:
    """Say the start, then a little now and then, until the other side hangs up."""

    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return talk


@pytest.mark.parametrize(
    ("start", "drop", "error"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", PortalUnavailable, id="in-a-header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", PortalUnavailable, id="header-after-header"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", BadDownload, id="in-the-body"),
    ],
)
def test_server_that_drips_is_given_up(tmp_path: Path, start: bytes, drop: bytes, error: type[Exception]) -> None:
    limits = {"http_timeout_seconds": 0.1, "download_timeout_seconds": 0.3}  # longer silences than there are
    with server(dripping(start, drop)) as place, pytest.raises(error, match=r"timed out|given up"):
        downloader(place, tmp_path, **limits).fetch(resource_at(place), tmp_path / "tmp")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_name_that_leads_elsewhere_once_checked_is_not_asked(scheme: str) -> None:
    said: list[bytes] = []
    rule = AddressRule(PUBLIC_PORTAL, resolve=lambda host: ["198.41.0.4"])
    with server(lambda _, asked: said.append(asked)) as place, requests.Session() as session:
        session.mount(f"{scheme}://", GuardedAdapter(rule))
        rule.check(f"{scheme}://{place}/admin")  # the first answer of its name server is harmless
        with pytest.raises(Refused, match=r"led to 127\.0\.0\.1, which is not a public address"):
            session.get(f"{scheme}://{place}/admin", timeout=5)
    assert b"".join(said) == b""


def test_one_server_is_asked_for_two_files_at_once(tmp_path: Path) -> None:
    inside, most, lock = [0], [0], threading.Lock()
    pair = threading.Barrier(2, timeout=5)  # breaks unless two are in together

    def talk(connection: socket.socket, _: bytes) -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        pair.wait()
        with lock:
            inside[0] -= 1
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(ROWS) + ROWS)

    with server(talk) as place, ThreadPoolExecutor(6) as pool:
        shared = downloader(place, tmp_path)
        found = pool.map(lambda n: shared.fetch(resource_at(place, f"{n}.csv"), tmp_path / "tmp"), range(8))
        assert all(found)
    assert (most[0], pair.broken) == (2, False)

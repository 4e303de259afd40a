"""What a file's bytes alone tell: web pages, and archives that are not whole."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.integrity import check_archive, is_web_page

ROWS = b"code;nom\n01001;L'Abergement\n" * 50
LIMIT = 10**6


def zipped(method: int = zipfile.ZIP_DEFLATED, name: str = "a.csv") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, ROWS)
        archive.writestr("b.csv", ROWS)
    return buffer.getvalue()


def flipped(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 0xFF
    return bytes(changed)


def problem(folder: Path, content: bytes, limit: int = LIMIT) -> str | None:
    path = folder / "file"
    path.write_bytes(content)
    return check_archive(path, limit).problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"<!DOCTYPE html><html>", True, id="doctype"),
        pytest.param(b"\xef\xbb\xbf\r\n  <HTML lang=fr>", True, id="bom-space-upper"),
        pytest.param(b"<?xml version='1.0'?><pdv_liste/>", False, id="xml"),
        pytest.param(b"<pdv_liste>", False, id="bare-xml"),
        pytest.param(b"page;<html>\n", False, id="html-in-a-cell"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_web_page_is_known_by_its_first_words(tmp_path: Path, content: bytes, expected: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert is_web_page(path) is expected


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(ROWS), id="gzip"),
        pytest.param(gzip.compress(ROWS) + gzip.compress(ROWS), id="gzip-of-two-members"),
        pytest.param(zipped(), id="zip"),
        pytest.param(zipped(zipfile.ZIP_LZMA), id="zip-lzma"),
        pytest.param(ROWS, id="no-archive"),
        pytest.param(b"", id="empty"),
    ],
)
def test_sound_file_has_no_problem(tmp_path: Path, content: bytes) -> None:
    assert problem(tmp_path, content) is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(gzip.compress(ROWS)[:-4], "gzip", id="gzip-cut"),
        pytest.param(flipped(gzip.compress(ROWS), -8), "gzip", id="gzip-wrong-crc"),
        pytest.param(gzip.compress(ROWS) + b"<html>", "gzip", id="gzip-then-garbage"),
        pytest.param(zipped()[:-30], "zip", id="zip-cut"),
        pytest.param(flipped(zipped(), 60), "zip", id="zip-member-damaged"),
        pytest.param(flipped(zipped(zipfile.ZIP_BZIP2), 60), "zip", id="zip-bzip2-damaged"),
        pytest.param(flipped(zipped(zipfile.ZIP_LZMA), 60), "zip", id="zip-lzma-damaged"),
    ],
)
def test_damage_is_told(tmp_path: Path, content: bytes, kind: str) -> None:
    assert f"is a broken {kind} file" in str(problem(tmp_path, content))


def test_encrypted_member_is_no_damage(tmp_path: Path) -> None:
    plain = zipped()
    directory = plain.rindex(b"PK\x01\x02", 0, plain.rindex(b"PK\x01\x02"))  # the first member's directory entry
    encrypted = bytearray(plain)
    encrypted[6] |= 1  # general purpose flag, bit 0
    encrypted[directory + 8] |= 1
    assert problem(tmp_path, bytes(encrypted)) is None


def test_bomb_is_not_opened_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="expands to more than 1000000 bytes"):
        problem(tmp_path, gzip.compress(bytes(20 * LIMIT)))


@given(position=st.integers(4, 300), value=st.integers(0, 255), cut=st.integers(4, 400))
def test_no_damage_crashes_the_check(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for content in (zipped(), gzip.compress(ROWS)):
        spoilt = bytearray(content)
        spoilt[min(position, len(spoilt) - 1)] = value
        result = problem(folder, bytes(spoilt[:cut] if cut % 2 else spoilt))
        assert result is None or "broken" in result

"""Encodings: French text comes out the same whatever it was written in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import Refused
from ingestion.decode.encoding import CHUNK_BYTES, HALVED_FROM_BYTES, TABLES, Encoding, find_encoding, is_utf8, to_utf8
from ingestion.decode.table import Source
from ingestion.decode.text import open_text

FRENCH = "commune;libellé\nÉvry;l’église à côté du Cœur\nBesançon;où naît la forêt, 30 °C\nNîmes;une pièce à 2 €\n"
COMMON = FRENCH.replace("’", "'").replace("œ", "oe").replace("€", "eur")
EVERY_CP1252 = bytes(set(range(0x20, 0x100)) - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")


def read(path: Path, content: bytes) -> tuple[str, str]:
    source = path / "text.csv"
    source.write_bytes(content)
    text = open_text(Source(source, source.name, None, path / "scratch"))
    return text.encoding, text.path.read_bytes()[text.bom_bytes :].decode()


CASES = {
    "ascii": (b"a;b\n1;2\n", "utf-8", "a;b\n1;2\n"),
    "utf-8": (FRENCH.encode(), "utf-8", FRENCH),
    "utf-8 with a mark": (FRENCH.encode("utf-8-sig"), "utf-8-sig", FRENCH),
    "cp1252": (FRENCH.encode("cp1252"), "cp1252", FRENCH),
    "cp1252 or latin-1: the same text": (COMMON.encode("latin-1"), "cp1252", COMMON),
    "cp1252 in capitals": (
        "ÉTÉ À L'ÎLE DU CHÂTEAU, ÇA VA\n".encode("cp1252"),
        "cp1252",
        "ÉTÉ À L'ÎLE DU CHÂTEAU, ÇA VA\n",
    ),
    "cp1252, one œ": ("lieu\nŒuilly\n".encode("cp1252"), "cp1252", "lieu\nŒuilly\n"),
    "cp1252, one ½": ("pas;prix\n1½;3 ¼\n".encode("cp1252"), "cp1252", "pas;prix\n1½;3 ¼\n"),
    "latin-9, one œ": ("lieu;n\ncœur;é\n".encode("iso8859-15"), "iso8859-15", "lieu;n\ncœur;é\n"),
    "latin-9, euros": ("prix;é\n12 €;à 3 €\n".encode("iso8859-15"), "iso8859-15", "prix;é\n12 €;à 3 €\n"),
    "cp1252, every character it has": (
        (FRENCH + EVERY_CP1252 + "\n").encode("cp1252"),
        "cp1252",
        FRENCH + EVERY_CP1252 + "\n",
    ),
    "mac-roman": (FRENCH.encode("mac-roman"), "mac-roman", FRENCH),
    "utf-16 little": (FRENCH.encode("utf-16"), "utf-16-le", FRENCH),
    "utf-16 big": (b"\xfe\xff" + FRENCH.encode("utf-16-be"), "utf-16-be", FRENCH),
    "utf-16 without its mark": (FRENCH.encode("utf-16-le"), "utf-16-le", FRENCH),
    "utf-16 without its mark, a letter that ends in a NUL": (
        (FRENCH + "Ā\n").encode("utf-16-le"),
        "utf-16-le",
        FRENCH + "Ā\n",
    ),
    "utf-32": (FRENCH.encode("utf-32"), "utf-32-le", FRENCH),
    "utf-8 with a stray cp1252 byte": (FRENCH.encode() + "été\n".encode("cp1252"), "utf-8+cp1252", FRENCH + "été\n"),
    "already broken at source": ("a;b\n\ufffd;Ã©tÃ©\n".encode(), "utf-8", "a;b\n\ufffd;Ã©tÃ©\n"),
    "cp1252 with a byte it does not define": (b"\xe9t\xe9 \x9cuf \x81\n", "cp1252", "été œuf \x81\n"),
}


@pytest.mark.parametrize(("content", "encoding", "expected"), CASES.values(), ids=CASES)
def test_text_is_what_was_written(content: bytes, encoding: str, expected: str, tmp_path: Path) -> None:
    assert read(tmp_path, content) == (encoding, expected)


def test_utf16_that_is_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="utf-16-le"):
        read(tmp_path, FRENCH.encode("utf-16")[:-1])


@pytest.mark.parametrize("shift", range(5))
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-8+strays"])
def test_character_at_the_edge_of_a_block_is_whole(encoding: str, shift: int, tmp_path: Path) -> None:
    text = "x" * shift + "é€🚲" * (CHUNK_BYTES // 6)
    if encoding == "cp1252":
        text = text.replace("é€🚲", "é € Œ")
    content = text.encode() + b"\xe9" if encoding == "utf-8+strays" else text.encode(encoding)
    expected = text + "é" if encoding == "utf-8+strays" else text

    assert read(tmp_path, content)[1] == expected


@pytest.mark.parametrize("shift", range(4))
def test_large_file_is_checked_to_its_last_byte(shift: int, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    sound = b"x" * shift + "é🚲".encode() * (HALVED_FROM_BYTES // 6 + 1)
    for content, expected in ((sound, True), (sound + b"\xe9", False), (b"\xe9" + sound, False), (sound[:-1], False)):
        path.write_bytes(content)
        assert is_utf8(path) is expected


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=12), tail=st.sampled_from([b"", "é".encode(), "🚲".encode()[:3]]))
def test_utf8_is_what_python_calls_so(content: bytes, tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(content + tail)
    try:
        (content + tail).decode()
    except UnicodeDecodeError:
        assert not is_utf8(path)
    else:
        assert is_utf8(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_any_bytes_are_text_in_some_encoding_or_refused(content: bytes, tmp_path: Path) -> None:
    try:
        encoding, text = read(tmp_path, content)
    except Refused:
        assert find_encoding(tmp_path / "text.csv").name.startswith("utf-")
        return
    if encoding in TABLES:
        assert (
            text.translate({ord(char): byte for byte, char in enumerate(TABLES[encoding])}).encode("latin-1") == content
        )


@pytest.mark.parametrize("strays", [0, 1, 50, 5000], ids=lambda n: f"{n} strays")
@pytest.mark.parametrize("encoding", TABLES)
def test_rewriting_is_the_same_however_many_characters_are_not_latin_1(
    encoding: str, strays: int, tmp_path: Path
) -> None:
    content = bytes(range(256)) * strays + b"plain text\n" * 20_000 + bytes([0x80, 0xFF])
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    to_utf8(source, target, Encoding(encoding))

    assert target.read_bytes().decode() == "".join(TABLES[encoding][byte] for byte in content)

"""Finds the encoding of a text file and rewrites it as UTF-8.

Valid UTF-8 is UTF-8: no other text passes that test by chance. The rest is scored among the encodings that French
files use, on the letters each would give, inside words and apart (½ in "cœur" read as cp1252 is œ in latin-9).
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.errors import Refused
from ingestion.decode.bitmaps import bits_of, places

CHUNK_BYTES = 1 << 18
HALVED_FROM_BYTES = 1 << 23
SCORED_BYTES = 1 << 20  # long enough for the threads not to wait for one another
_BRIEF_BYTES = 1 << 14
_BOMS = (  # UTF-32 before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SINGLE_BYTE = ("cp1252", "iso8859-15", "latin-1", "mac-roman")  # in order of preference when they tie
MIXED = "utf-8+cp1252"  # UTF-8 with stray bytes of cp1252, as when files are pasted together
_MIXED_SHARE = 0.9  # share of the high bytes that form UTF-8 sequences, from which the rest are strays
_Counts = NDArray[np.int64]
_IS_LETTER = np.array([byte >= 0x80 or chr(byte).isalpha() for byte in range(256)])


def _table(encoding: str) -> str:
    """The 256 characters of an encoding; where it has none, the control character of that number (as browsers do)."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in range(256))


def _differences(table: str) -> tuple[np.uint8, np.uint8]:
    """The first and the last byte that are not what they are in latin-1; zeros if all are."""
    bytes_ = [byte for byte in range(256) if table[byte] != chr(byte)] or [0]
    return np.uint8(bytes_[0]), np.uint8(bytes_[-1])


TABLES = {encoding: _table(encoding) for encoding in SINGLE_BYTE}
_MAPS: dict[str, Any] = dict(TABLES)  # the string is the fast form of the codecs' maps, which typeshed leaves out
_NOT_LATIN_1 = {name: _differences(table) for name, table in TABLES.items()}
_SPARSE = 7  # one character in 128


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    return "".join(TABLES["cp1252"][byte] for byte in stray), error.end


codecs.register_error("odh_cp1252", _as_cp1252)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's text is written: a Python codec's name (or ``utf-8+cp1252``) and the mark to skip."""

    name: str
    bom_bytes: int = 0

    @property
    def is_utf8(self) -> bool:
        return self.name in ("utf-8", "utf-8-sig")


def find_encoding(path: Path) -> Encoding:
    """Decide the encoding from the whole file."""
    with path.open("rb") as file:
        head = file.read(4096)
    for mark, name in _BOMS:
        if head.startswith(mark) and name != "utf-8-sig":
            return Encoding(name, len(mark))
    bom_bytes = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if is_utf8(path):
        unmarked = None if bom_bytes else unmarked_utf16(head)
        return Encoding(unmarked or ("utf-8-sig" if bom_bytes else "utf-8"), bom_bytes)
    unmarked = unmarked_utf16(head)
    return Encoding(unmarked) if unmarked else Encoding(_score_file(path), bom_bytes)


def unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without its mark: French text then has a NUL in nearly every other byte, and next to none between."""
    half = len(head) // 2
    if half < 2:
        return None
    nuls = head[::2].count(0), head[1::2].count(0)
    if max(nuls) <= 0.8 * half or min(nuls) > 0.1 * half:
        return None
    return "utf-16-le" if nuls[1] > nuls[0] else "utf-16-be"


def is_utf8(path: Path) -> bool:
    """Whether the whole file is valid UTF-8; a large file is checked in two halves at once."""
    size = path.stat().st_size
    if size < HALVED_FROM_BYTES:
        return _is_part_utf8(path, 0, size)
    middle = _character_start(path, size // 2)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(_is_part_utf8, path, middle, size)
        return _is_part_utf8(path, 0, middle) and second.result()


def _character_start(path: Path, near: int) -> int:
    with path.open("rb") as file:
        file.seek(near)
        head = file.read(3)
    return near + len(head) - len(head.lstrip(bytes(range(0x80, 0xC0))))


def _is_part_utf8(path: Path, offset: int, stop: int) -> bool:
    rest = b""
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(min(CHUNK_BYTES, stop - file.tell())):
            chunk = rest + block if rest else block
            cut = _last_character_start(chunk)
            if not _is_valid_utf8(chunk[:cut] if cut < len(chunk) else chunk):
                return False
            rest = chunk[cut:]
    return _is_valid_utf8(rest)


def _last_character_start(chunk: bytes) -> int:
    """Where to cut so that no character is split: before the last lead byte, if it is near the end."""
    for back in range(1, min(4, len(chunk)) + 1):
        byte = chunk[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            return len(chunk) - back
    return len(chunk)


def _is_valid_utf8(chunk: bytes) -> bool:
    """Arrow checks at 2 GB/s and makes no string, where ``bytes.decode`` runs at 1; but it takes time to begin."""
    if len(chunk) < _BRIEF_BYTES:
        try:
            chunk.decode()
        except UnicodeDecodeError:
            return False
        return True
    offsets = pa.py_buffer(np.array([0, len(chunk)], np.int32))
    try:
        pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(chunk)]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _score_file(path: Path) -> str:
    in_words, apart, sequences = np.zeros(256, np.int64), np.zeros(256, np.int64), 0
    for words, others, paired in _counts(path):  # a character at a block's edge may be counted apart: it weighs nothing
        in_words, apart, sequences = in_words + words, apart + others, sequences + paired
    if sequences > _MIXED_SHARE * (in_words + apart).sum():
        return MIXED
    return best_single_byte(in_words, apart)


def _counts(path: Path) -> Iterator[tuple[_Counts, _Counts, int]]:
    size = path.stat().st_size
    if size <= SCORED_BYTES:
        yield _count_at(path, 0)
        return
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(partial(_count_at, path), range(0, size, SCORED_BYTES))


def _count_at(path: Path, offset: int) -> tuple[_Counts, _Counts, int]:
    with path.open("rb") as file:
        file.seek(offset)
        return _count(file.read(SCORED_BYTES))


def _count(block: bytes) -> tuple[_Counts, _Counts, int]:
    """Count the high bytes in words, those apart, and those that form UTF-8 sequences."""
    array = np.frombuffer(block, np.uint8)
    at = places(bits_of(array >= 0x80))
    values, before, after = array[at], array[at - 1], array.take(at + 1, mode="clip")
    before[at == 0] = after[at == len(array) - 1] = ord(" ")
    word = _IS_LETTER[before] | _IS_LETTER[after]
    continued = (values >= 0xC2) & (values < 0xF5) & (after >= 0x80) & (after < 0xC0)
    continuing = (values < 0xC0) & (before >= 0x80)
    counts = [np.bincount(values[chosen], minlength=256) for chosen in (word, ~word)]
    return counts[0], counts[1], int(np.count_nonzero(continued) + np.count_nonzero(continuing))


def best_single_byte(in_words: _Counts, apart: _Counts, encodings: Sequence[str] = SINGLE_BYTE) -> str:
    """Choose the single-byte encoding whose reading of these bytes is the most French."""

    def score(encoding: str) -> int:
        word_weights, other_weights = _weights(encoding)
        return int(in_words @ word_weights + apart @ other_weights)

    return max(encodings, key=score)  # the first of equals


@cache
def _weights(encoding: str) -> tuple[_Counts, _Counts]:
    """What each byte is worth in a word, and apart."""
    table = TABLES.get(encoding) or _table(encoding)
    high = [byte >= 0x80 for byte in range(256)]
    return (
        np.array([_weight_in_word(char) * is_high for char, is_high in zip(table, high, strict=True)]),
        np.array([_weight_apart(char) * is_high for char, is_high in zip(table, high, strict=True)]),
    )


_LETTERS, _CAPITALS = "éèêàçôîûâùïëœ", "ÉÈÊÀÇÔÎÛÂÙÏËŒ"


def _weight_in_word(char: str) -> int:
    if char in _LETTERS:
        return 6
    if char in _CAPITALS + "üöäæÿñ’":
        return 4
    if char in "\xa0«»–—…°€":
        return 1
    return _weight_of_the_rest(char)


def _weight_apart(char: str) -> int:
    if char in "à°€«»\xa0–—…²³½¼’‘“”•":
        return 3
    if char in _LETTERS:
        return 1
    return 0 if char in _CAPITALS + "§±·×µºª®©™" else _weight_of_the_rest(char)


def _weight_of_the_rest(char: str) -> int:
    if unicodedata.category(char) == "Cc":
        return -8
    return -2 if char.isalpha() else -4


def to_utf8(path: Path, target: Path, encoding: Encoding) -> None:
    """Rewrite a file as UTF-8 without a mark.

    Raises:
        Refused: when the bytes are not what their mark announces.
    """
    with path.open("rb") as source, target.open("wb") as output:
        source.seek(encoding.bom_bytes)
        blocks = iter(lambda: source.read(CHUNK_BYTES), b"")
        try:
            _write(_transcode(blocks, encoding.name), output)
        except UnicodeError as error:
            raise Refused(f"The text is not valid {encoding.name}: {error}. Ask its publisher for UTF-8.") from error


def _write(blocks: Iterator[bytes], output: IO[bytes]) -> None:
    """Write each block while the next is made."""
    output.write(next(blocks, b""))
    second = next(blocks, None)
    if second is None:
        return
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(output.write, second)
        for block in blocks:
            written.result()
            written = pool.submit(output.write, block)
        written.result()


def _transcode(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    if name in TABLES:
        return map(partial(_transcode_single_byte, name), blocks)
    errors = "odh_cp1252" if name == MIXED else "strict"
    decoder = codecs.getincrementaldecoder("utf-8" if name == MIXED else name)(errors)
    texts = chain((decoder.decode(block) for block in blocks), (decoder.decode(b"", end) for end in (True,)))
    return (text.encode() for text in texts)


def _transcode_single_byte(name: str, block: bytes) -> bytes:
    """Go by latin-1, which is five times as fast as any other table, where few characters are not of it."""
    array, (first, last), table = np.frombuffer(block, np.uint8), _NOT_LATIN_1[name], TABLES[name]
    others = np.flatnonzero((array - first) <= last - first) if first else ()
    if len(others) > len(block) >> _SPARSE:
        return codecs.charmap_decode(block, "strict", _MAPS[name])[0].encode()
    pieces, start = [], 0
    for at in map(int, others):
        pieces += [block[start:at].decode("latin-1"), table[block[at]]]
        start = at + 1
    pieces.append(block[start:].decode("latin-1"))
    return b"".join(map(str.encode, pieces))

"""Any text file as UTF-8: the file itself when it is, a copy under scratch when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingestion.decode.encoding import find_encoding, to_utf8
from ingestion.decode.table import Source


@dataclass(frozen=True, slots=True)
class Utf8Text:
    """UTF-8 text at ``path``, after ``bom_bytes`` of mark; ``encoding`` names how the source was written."""

    path: Path
    encoding: str
    bom_bytes: int

    @property
    def size_bytes(self) -> int:
        """Size of the text, its mark left out."""
        return self.path.stat().st_size - self.bom_bytes

    def read(self, offset: int = 0) -> str:
        """The whole text from a place on; for small ones."""
        with self.path.open("rb") as file:
            file.seek(self.bom_bytes + offset)
            return file.read().decode()

    def head(self, size_bytes: int) -> str:
        """The first characters, for a look."""
        with self.path.open("rb") as file:
            file.seek(self.bom_bytes)
            return file.read(size_bytes).decode("utf-8", "ignore")

    def sample(self, size_bytes: int) -> tuple[str, bool]:
        """The first whole lines within a size, and whether they are the whole text."""
        with self.path.open("rb") as file:
            file.seek(self.bom_bytes)
            head = file.read(size_bytes + 1)
        if len(head) <= size_bytes:
            return head.decode(), True
        cut = head.rfind(b"\n") + 1 or head.rfind(b"\r", 0, -1) + 1  # a last CR may be half of a CRLF
        return head[:cut].decode(), False


def open_text(source: Source) -> Utf8Text:
    """Find the encoding of a source, and transcode it when it is not UTF-8 yet."""
    encoding = find_encoding(source.path)
    if encoding.is_utf8:
        return Utf8Text(source.path, encoding.name, encoding.bom_bytes)
    target = source.new_file(".txt")
    to_utf8(source.path, target, encoding)
    return Utf8Text(target, encoding.name, 0)

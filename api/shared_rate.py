"""When the buckets of callers are full again, kept in one file that all workers of a machine have mapped.

The supervisor makes the file, which has no name and goes with the last process that holds it. It is a table of sets of
places, each place a bucket: the hash of its name, and a moment. Who takes a token locks the set by a record lock of the
system, which a process that is killed lets go of. A set that is full forgets the bucket that is full first; one that
is full already is the same as none.
"""

from __future__ import annotations

import fcntl
import mmap
import struct
import tempfile
from functools import lru_cache
from hashlib import blake2b
from typing import IO

WAYS = 4  # places of a set: 64 bytes, a line of the processor's cache
SETS = 16_384  # for 65,536 buckets in 1 MiB
_SET = struct.Struct("=" + "Qd" * WAYS)
_PLACE = struct.Struct("=Qd")
_REMEMBERED = 65_536


def shared_file() -> IO[bytes]:
    """Make an empty table; workers get its descriptor and must not outlive its being open here."""
    made = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    made.write(bytes(SETS * _SET.size))  # written, not sparse: a page that finds no room later would kill its process
    made.flush()
    return made


class SharedMoments:
    """The moments at which buckets are full, as one process sees the table; for one thread.

    Args:
        file: descriptor of the table; no other may be opened on it here, for closing that would drop the locks.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._table = mmap.mmap(file, SETS * _SET.size)

    def get(self, name: str) -> float:
        """When a bucket is full; 0 for one that is not kept."""
        mark, start = _place_of(name)
        found = _SET.unpack_from(self._table, start)
        return float(found[found.index(mark) + 1]) if mark in found else 0.0

    def spend(self, name: str, now: float, cost: float, most: float) -> tuple[bool, float]:
        """Move the moment of a bucket by the cost of a token, unless it would lie too far ahead, and return it.

        Other processes that want the same set wait meanwhile, some microseconds at most.
        """
        mark, start = _place_of(name)
        fcntl.lockf(self._file, fcntl.LOCK_EX, _SET.size, start)
        try:
            found = _SET.unpack_from(self._table, start)
            place = found.index(mark) if mark in found else 2 * found[1::2].index(min(found[1::2]))
            full_at = max(found[place + 1], now) if found[place] == mark else now
            if full_at - now + cost > most:
                return False, full_at
            _PLACE.pack_into(self._table, start + place // 2 * _PLACE.size, mark, full_at + cost)
            return True, full_at + cost
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, _SET.size, start)


@lru_cache(_REMEMBERED)
def _place_of(name: str) -> tuple[int, int]:
    """The mark of a bucket, which no moment equals, and where its set begins: the same in every process."""
    mark = int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") | 1 << 63
    return mark, mark % SETS * _SET.size

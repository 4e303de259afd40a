"""A whole result sent as it is read: one thread asks DuckDB, one writes the format, and the client sets the pace.

Queues between them are short, so the memory of an export does not grow with it. When the client leaves, the query is
interrupted. An error before the first byte is answered as any other; after it, only a cut connection tells.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import duckdb
import pyarrow as pa
import structlog
import zstandard
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

BATCHES, CHUNKS = 2, 4  # waiting between two threads
PIECE_BYTES = 256 * 1024  # sent at once
GZIP_LEVEL, ZSTD_LEVEL = 4, 3
log = structlog.get_logger(__name__)
Render = Callable[[Iterator[pa.RecordBatch], pa.Schema], Iterator[bytes]]


class Left(Exception):
    """The reader went away."""


class Channel:
    """A short queue between two threads, ended by either."""

    def __init__(self, size: int) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(size)
        self._is_left = threading.Event()

    def put(self, item: Any) -> None:
        """Hand an item on, waiting for room.

        Raises:
            Left: nobody will take it.
        """
        while not self._is_left.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.5)
                return
        raise Left

    def leave(self) -> None:
        """Take nothing more; who waits for something is told that this is the end."""
        self._is_left.set()
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        with suppress(queue.Full):
            self._queue.put_nowait(None)

    def fill(self, items: Iterator[Any]) -> None:
        """Hand on all items, and then the end, or the error that ended them."""
        try:
            for item in items:
                self.put(item)
            self.put(None)
        except Left:
            return
        except BaseException as error:  # it belongs to whoever reads the other end
            with suppress(Left):
                self.put(error)

    def __iter__(self) -> Iterator[Any]:
        while (item := self.get()) is not None:
            yield item

    def get(self) -> Any:
        """The next item, None at the end.

        Raises:
            BaseException: whatever ended the items early.
        """
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item


class Export:
    """One query being read and written; start it, take its chunks, close it."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader, render: Render) -> None:
        self._cursor = cursor
        self._batches, self._chunks = Channel(BATCHES), Channel(CHUNKS)
        written = render(iter(self._batches), reader.schema)
        self._threads = [
            threading.Thread(target=self._batches.fill, args=(iter(reader),), name="export-read", daemon=True),
            threading.Thread(target=self._chunks.fill, args=(written,), name="export-write", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def chunk(self) -> bytes | None:
        """The next bytes; None at the end."""
        found: bytes | None = self._chunks.get()
        return found

    def close(self) -> None:
        """Stop, wherever it is, and free the query."""
        self._chunks.leave()
        self._cursor.interrupt()
        self._batches.leave()
        for thread in self._threads:
            thread.join()
        self._cursor.close()


class ExportResponse(Response):
    """Sends an export."""

    def __init__(self, export: Export, media_type: str, headers: Mapping[str, str], encoding: str | None) -> None:
        self.status_code, self.media_type, self.background = 200, media_type, None
        self._export, self._encode = export, encoder(encoding)
        self.body = b""
        self.init_headers({**headers, **({"Content-Encoding": encoding} if encoding else {})})
        del self.headers["content-length"]
        self.first: bytes | None = export.chunk()

    background: BackgroundTask | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks until the end, or until the client leaves."""
        try:
            async with anyio.create_task_group() as group:

                async def watch() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                group.start_soon(watch)
                await self._send(send)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._export.close)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        chunk = self.first
        while chunk is not None:
            for piece in pieces(self._encode(chunk)):
                await send(_body(piece))
            chunk = await anyio.to_thread.run_sync(self._export.chunk, abandon_on_cancel=True)
        for piece in pieces(self._encode(None)):
            await send(_body(piece))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def encoder(encoding: str | None) -> Callable[[bytes | None], bytes]:
    """What compresses chunk after chunk; None ends it."""
    if encoding == "gzip":
        packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
        return lambda chunk: packer.flush() if chunk is None else packer.compress(chunk)
    if encoding == "zstd":
        presser = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
        return lambda chunk: presser.flush() if chunk is None else presser.compress(chunk)
    return lambda chunk: chunk or b""


def pieces(content: bytes) -> Iterator[memoryview | bytes]:
    """A large chunk in parts a connection takes at once."""
    if len(content) <= PIECE_BYTES:
        if content:
            yield content
        return
    view = memoryview(content)
    for start in range(0, len(content), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


def _body(piece: memoryview | bytes) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": True}

"""Servers of this machine that say what they are told to, byte by byte, and resources that are there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from ingestion.portal import Resource, read_resource

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
Talk = Callable[[socket.socket, bytes], None]  # what a server says on a connection, once asked


@contextmanager
def server(talk: Talk) -> Iterator[str]:
    """A server that says what it is told to, byte by byte, then closes; its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(8) as pool:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                asked = b""
                while b"\r\n\r\n" not in asked and (read := connection.recv(4096)):
                    asked += read
                talk(connection, asked)
                connection.shutdown(socket.SHUT_RDWR)

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection = listening.accept()[0]
                    try:
                        pool.submit(serve, connection)
                    except RuntimeError:  # the pool is being closed: who came last is not served
                        connection.close()

        pool.submit(listen)
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def saying(*pieces: bytes) -> Talk:
    def talk(connection: socket.socket, _: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return talk


def resource_at(place: str, name: str = "f.csv") -> Resource:
    return read_resource({"id": name, "url": f"http://{place}/{name}", "format": "csv", "filetype": "remote"})

"""`make bench-push`: what a durable push costs beside a request that does nothing, and when it is seen.

The gateway is a process of its own with its drain at work beside it, the client another one on raw sockets, on
loopback. What is compared takes turns; medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.machine import commit, describe_machine
from benchmarks.report import Goal, about_lines, goal_lines, keep_results

RESULTS = Path(__file__).with_name("results") / "api_ingest.json"
TITLE = "bench-api-ingest"
CLIENTS = 64
NOOP, FAST, SLOW = "/bench/noop", "/ingest_fast", "/ingest"
FIELDS = [
    {"name": "observed_at", "type": "datetime", "required": True, "description": "When."},
    {"name": "longitude", "type": "number", "required": True, "minimum": -180, "maximum": 180, "description": "East."},
    {"name": "latitude", "type": "number", "required": True, "minimum": -90, "maximum": 90, "description": "North."},
    {"name": "hazard_kind", "type": "text", "required": True, "enum": ["ice", "fog"], "description": "What."},
    {"name": "description", "type": "text", "max_length": 2000, "description": "In words."},
    {"name": "reporter_siret", "type": "text", "pattern": r"\d{14}", "description": "Who."},
]
FEED = {
    "feed": "bench",
    "title": "Benchmark",
    "description": "Records of the pilot's shape.",
    "owner": "benchmarks",
    "license": "lov2",
    "domain": "bench",
    "source": {"push": {"fields": FIELDS}},
    "tables": [
        {
            "name": "reports",
            "description": "One report.",
            "resources": "^records$",
            "mode": "append",
            "columns": [field["name"] for field in FIELDS],
        }
    ],
}
RECORD = {
    "observed_at": "2024-05-01T08:30:00Z",
    "longitude": 2.3522,
    "latitude": 48.8566,
    "hazard_kind": "ice",
    "description": "Verglas dans le virage, après le pont",
    "reporter_siret": "73282932000074",
}


def main() -> None:
    """Measure, keep the results, write the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=400, help="requests of one client in a turn")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn of many clients")
    parser.add_argument("--released", type=int, default=5, help="pushes whose release is waited for, of each kind")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table of the docs is written for this only")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    results: dict[str, Any] = {"commit": commit(), "started_at": started, "repeats": options.repeats}
    with tempfile.TemporaryDirectory(prefix="bench-push-") as folder:
        lake = Path(folder) / "lake"
        (lake / "feeds").mkdir(parents=True)
        (lake / "feeds" / "bench.yml").write_text(yaml.safe_dump(FEED), "utf-8")
        with _serving(lake) as port:
            results |= measure_release(port, options.released)
            results |= measure_one(port, options.requests, options.repeats)
            results |= measure_many(port, options.seconds, options.repeats)
    results["machine"] = describe_machine(("fastapi", "uvicorn", "msgspec", "duckdb", "dbt-core"), load)
    text = "\n".join([*goal_lines(_goals(results)), "", *_figures(results), *about_lines(results, options.repeats)])
    keep_results(results, text, options.results, RESULTS, TITLE)


# The measures


def measure_one(port: int, requests: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of a request that does nothing and of a durable push of 1 and of 10 records, at one client."""
    taken: dict[str, list[float]] = {name: [] for name in _requests()}
    with closing(_connect(port)) as client:
        for _ in range(repeats):
            for name, request in _requests().items():
                taken[name] += [1000 * _ask(client, request)[0] for _ in range(requests)]
    return {f"{name}_ms": round(median(times), 3) for name, times in taken.items()}


def measure_many(port: int, seconds: float, repeats: int) -> dict[str, Any]:
    """Requests a second of the same, at many clients."""
    speeds: dict[str, list[float]] = {name: [] for name in _requests()}
    for _ in range(repeats):
        for name, request in _requests().items():
            speeds[name].append(_flood(port, request, seconds))
    return {f"{name}_rps": round(median(found)) for name, found in speeds.items()}


def measure_release(port: int, pushes: int) -> dict[str, Any]:
    """Milliseconds until the answer, and until the records are in a release, one push at a time.

    ``/ingest`` answers at the release; after ``/ingest_fast`` the receipt is asked for every 20 ms. The first push
    starts dbt and is not counted.
    """
    found: dict[str, list[float]] = {}
    with closing(_connect(port, 300)) as client:
        _ask(client, _post(SLOW, 1))
        for records in (1, 10):
            for name, address in (("ingest", SLOW), ("fast", FAST)):
                for _ in range(pushes):
                    began = time.perf_counter()
                    answer = json.loads(_ask(client, _post(address, records))[1])
                    found.setdefault(f"{name}_{records}_answer_ms", []).append(1000 * (time.perf_counter() - began))
                    while answer["status"] != "curated":
                        time.sleep(0.02)
                        answer = json.loads(_ask(client, _get(f"/ingest/{answer['receipt']}"))[1])
                    found.setdefault(f"{name}_{records}_seen_ms", []).append(1000 * (time.perf_counter() - began))
    return {name: round(median(times), 2) for name, times in found.items()}


# The client


def _requests() -> dict[str, bytes]:
    return {"noop": _post(NOOP, 1), "fast_1": _post(FAST, 1), "fast_10": _post(FAST, 10)}


def _post(path: str, records: int) -> bytes:
    body = json.dumps({"feed": "bench", "data": [RECORD] * records}, ensure_ascii=False).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _connect(port: int, timeout: float = 60) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _ask(client: socket.socket, request: bytes) -> tuple[float, bytes]:
    """Seconds until the whole answer was there, and its body."""
    began = time.perf_counter()
    client.sendall(request)
    answer = client.recv(65536)
    while not _is_whole(answer):
        answer += client.recv(65536)
    seconds = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 20"):
        raise SystemExit(f"the gateway answered {answer[:600]!r}")
    return seconds, answer.partition(b"\r\n\r\n")[2]


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)


def _flood(port: int, request: bytes, seconds: float) -> float:
    """Answers a second to many clients, each of which sends its next request at the answer."""
    poll, answered = select.epoll(), 0
    clients: dict[int, socket.socket] = {}
    halves: dict[int, bytes] = {}  # head and body may come apart
    for _ in range(CLIENTS):
        client = _connect(port)
        clients[client.fileno()] = client
        poll.register(client, select.EPOLLIN)
        client.sendall(request)
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        for number, _ in poll.poll(1):
            answer = halves.pop(number, b"") + clients[number].recv(65536)
            if not _is_whole(answer):
                halves[number] = answer
                continue
            if not answer.startswith(b"HTTP/1.1 20"):
                raise SystemExit(f"the gateway answered {answer[:600]!r}")
            answered += 1
            clients[number].sendall(request)
    for client in clients.values():
        client.close()
    return answered / elapsed


# The server


@contextmanager
def _serving(lake: Path) -> Iterator[int]:
    """The gateway and the drain, as `odh serve` has them."""
    environment = {**os.environ, "ODH_LAKE": str(lake), "ODH_PUSH_MAX_PENDING_BYTES": str(1 << 33)}
    command = [sys.executable, "-m", "benchmarks.api_ingest_server"]
    drain = [sys.executable, "-m", "odh", "drain", "--watch", "--until-eof"]
    with (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server,
        subprocess.Popen(drain, env=environment, stdin=subprocess.PIPE) as drainer,
    ):
        try:
            yield int(server.stdout.readline() if server.stdout else 0)
        finally:
            for process in (drainer, server):
                with suppress(ProcessLookupError):
                    process.kill()


# The report


def _goals(found: dict[str, Any]) -> list[Goal]:
    one = found["fast_1_ms"] / found["noop_ms"]
    many, batch = found["fast_1_rps"] / found["noop_rps"], found["fast_10_rps"] / found["fast_1_rps"]
    goals = [
        (
            "a durable push of 1 record at most 3.5 × a request that does nothing, p50, 1 client",
            f"{one:.2f}",
            one <= 3.5,
        ),
        (f"at least 0.8 × its requests a second, {CLIENTS} clients", f"{many:.2f}", many >= 0.8),
        ("pushes of 10 records within 15 % of pushes of 1, requests a second", f"{batch - 1:+.0%}", batch >= 0.85),
    ]
    for records in (1, 10):
        ratio = found[f"ingest_{records}_answer_ms"] / found[f"fast_{records}_answer_ms"]
        told = f"{records} record{'s' * (records > 1)}"
        goals.append((f"/ingest_fast answers 20 × as fast as /ingest, {told}", f"{ratio:,.0f} ×", ratio >= 20))
    return goals


def _figures(found: dict[str, Any]) -> list[str]:
    lines = ["| | does nothing | /ingest_fast, 1 record | 10 records |", "|---|---:|---:|---:|"]
    lines.append(f"| p50, 1 client, ms | {found['noop_ms']} | {found['fast_1_ms']} | {found['fast_10_ms']} |")
    rps = " | ".join(f"{found[name]:,}" for name in ("noop_rps", "fast_1_rps", "fast_10_rps"))
    lines += [f"| requests a second, {CLIENTS} clients | {rps} |", ""]
    lines += [
        "| one push at a time, ms | /ingest, 1 record | 10 | /ingest_fast, 1 record | 10 |",
        "|---|---:|---:|---:|---:|",
    ]
    for title, kind in (("until the answer", "answer"), ("until it is seen in curated", "seen")):
        cells = (f"{found[f'{name}_{records}_{kind}_ms']:,.1f}" for name in ("ingest", "fast") for records in (1, 10))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()

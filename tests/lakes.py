"""What tests ask of a lake: run the command in it, and tell its whole content in comparable form."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import kill_at

from catalog.iceberg import BRONZE
from catalog.session import open_session
from catalog.settings import Settings
from catalog.storage import raw_store
from ingestion.raw import MANIFEST_SUFFIX

# What two runs of the same thing may differ in: when, by which run, in which snapshot, on which port.
PASSING = {"_loaded_at", "run_id", "loaded_at", "snapshot_id", "started_at", "finished_at", "source_url", "detected_at"}


@dataclass(frozen=True)
class Answer:
    """How one call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON it printed."""
        return json.loads(self.out)


def environment(settings: Settings) -> dict[str, str]:
    """Variables that make a child process work in a test's lake."""
    return {**os.environ, **settings.as_environment()}


def odh(settings: Settings, *arguments: str, check: bool = True, timeout: float = 600) -> Answer:
    """Run ``odh`` in a child process on a lake; ``check`` demands exit code 0."""
    answer = _run(settings, "-m", "odh", *arguments, timeout=timeout)
    assert not check or answer.code == 0, f"{arguments} gave {answer.code}:\n{answer.out[-3000:]}\n{answer.err[-3000:]}"
    return answer


def kill_odh(settings: Settings, point: tuple[str, str, int], *arguments: str) -> None:
    """Let ``odh`` end itself with SIGKILL at a point: a function, before or after it, at which call."""
    answer = _run(settings, kill_at.__file__, *map(str, point), *arguments)
    assert answer.code == -signal.SIGKILL, f"{point} was not reached:\n{answer.out}{answer.err}"


def _run(settings: Settings, *words: str, timeout: float = 600) -> Answer:
    """Run Python on a lake, as a fork of a process that has imported what ``odh`` needs (``tests/forks``)."""
    given = environment(settings) | {"FORK_COMMAND": "yes"}
    command = [sys.executable, *words]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=timeout, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def sql(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """Rows of one statement."""
    with open_session(settings) as session:
        return session.execute(statement).fetchall()


def content_of(settings: Settings) -> dict[str, Any]:
    """All that a lake holds, free of what may differ between two runs of the same thing."""
    with open_session(settings) as session:
        tables = session.tables()
        found: dict[str, Any] = {}
        for schema in (BRONZE, "silver", "gold"):
            for name in tables[schema]:
                found[f"{schema}.{name}"] = _hash(session, f'{schema}."{name}"')
        for name in ("extractions", "loads", "rejects", "schema_changes"):
            found[f"ops.{name}"] = _rows(session, f"ops.{name}")
    store = raw_store(settings)
    keys = store.keys("")
    found["manifests"] = [key for key in keys if key.endswith(MANIFEST_SUFFIX)]
    files = [key for key in keys if not key.endswith(MANIFEST_SUFFIX)]
    found["raw"] = {key: hashlib.sha256(store.read_bytes(key)).hexdigest() for key in files}
    return found


def _columns(session: Any, table: str) -> str:
    named = [row[0] for row in session.execute(f"describe {table}").fetchall()]
    return ", ".join(f'"{name}"' for name in sorted(named) if name not in PASSING and name != "reject_id")


def _hash(session: Any, table: str) -> tuple[int, str]:
    columns = _columns(session, table)
    query = f"select count(*), coalesce(sum(hash(t)::hugeint), 0)::varchar from (select {columns} from {table}) as t"
    return tuple(session.execute(query).fetchone())


def _rows(session: Any, table: str) -> list[tuple[Any, ...]]:
    return session.execute(f"select {_columns(session, table)} from {table} order by all").fetchall()

"""A real Airflow for tests: API server, DAG processor and scheduler, each its own process, on a database of the test's.

Owns starting them on free loopback ports with a known password, and asking them through REST v2. Knows nothing of what
the DAGs do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import services
from lakes import environment

from catalog.settings import REPOSITORY, Settings

DAGS = REPOSITORY / "airflow" / "dags"
PASSWORD = "only-in-tests"
WAIT_SECONDS = 420.0  # of a loaded machine of two processors
POLL_SECONDS = 0.5
PARTS = (("api-server",), ("dag-processor",), ("scheduler", "--skip-serve-logs"))


@dataclass
class Scheduler:
    """A running Airflow."""

    url: str
    variables: dict[str, str]
    client: httpx.Client

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Read one thing."""
        answer = self.client.get(f"/api/v2/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Ask for a run now, and return its id."""
        answer = self.client.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["dag_run_id"])

    def pause(self, dag_id: str, is_paused: bool = True) -> None:
        """Switch a DAG off or on."""
        answer = self.client.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": is_paused})
        assert answer.status_code == 200, answer.text

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first."""
        return list(self.get(f"dags/{dag_id}/dagRuns", order_by="start_date", limit=100)["dag_runs"])

    def ended(self, dag_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first run of a DAG that is wanted, once it has ended."""

        def look() -> dict[str, Any] | None:
            found = [run for run in self.runs(dag_id) if wanted(run)]
            return next((run for run in found if run["state"] in ("success", "failed")), None)

        return wait_for(look, f"a run of {dag_id}")

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """How the tasks of a run ended."""
        found = self.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {f"{one['task_id']}[{one['map_index']}]": one["state"] for one in found}

    def command(self, *arguments: str) -> str:
        """Run Airflow's command line beside it."""
        done = subprocess.run(
            [airflow(), *arguments], env=self.variables, capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


def wait_for(look: Callable[[], Any], what: str) -> Any:
    """What a look gives, once it gives something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come within {WAIT_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
    return found


def airflow() -> str:
    """Airflow's command in this environment."""
    return str(Path(sys.executable).with_name("airflow"))


def variables(folder: Path, settings: Settings, **more: str) -> dict[str, str]:
    """What makes a process part of an Airflow of a test's own, working on a lake."""
    given = {
        "HOME": str(folder / "home"),
        "CORE__DAGS_FOLDER": str(DAGS),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "2",
        "CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "API__WORKERS": "1",
        "API__HOST": "127.0.0.1",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "WORKERS__EXECUTION_API_TIMEOUT": "60",  # this machine may be busy with other tests
        "LOGGING__LOGGING_LEVEL": "WARNING",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        **more,
    }
    names = {f"AIRFLOW_{'' if name == 'HOME' else '_'}{name}": value for name, value in given.items()}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return environment(settings) | names | {"PATH": path}


@contextmanager
def running_airflow(folder: Path, settings: Settings, database: str) -> Iterator[Scheduler]:
    """Run Airflow on a database, with the project's DAGs and pools; its logs are in the folder."""
    (port,) = services.free_ports(1)
    url = f"http://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "passwords.json").write_text(json.dumps({"admin": PASSWORD}))
    given = variables(
        folder,
        settings,
        DATABASE__SQL_ALCHEMY_CONN=database,
        API__PORT=str(port),
        API__BASE_URL=url,
        CORE__EXECUTION_API_SERVER_URL=f"{url}/execution/",
    )
    for words in (("db", "migrate"), ("pools", "import", str(REPOSITORY / "airflow" / "pools.json"))):
        done = subprocess.run([airflow(), *words], env=given, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with ExitStack() as stack, services.logs_in_errors(folder):
        for part in PARTS:
            log = folder / f"{part[0]}.log"
            stack.enter_context(services.daemon(["env", *_words(given), airflow(), *part], log, stop=signal.SIGTERM))
        yield stack.enter_context(logged_in(url, given, lambda: PASSWORD))


@contextmanager
def logged_in(url: str, given: dict[str, str], password: Callable[[], str]) -> Iterator[Scheduler]:
    """An Airflow that was started, once it is healthy, asked as its user ``admin``."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        wait_for(lambda: _is_healthy(client), "Airflow")
        token = client.post("/auth/token", json={"username": "admin", "password": password()})
        assert token.status_code == 201, token.text
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        yield Scheduler(url, given, client)


def _words(given: dict[str, str]) -> list[str]:
    """The variables that this process does not have, as words of ``env``."""
    return [f"{name}={value}" for name, value in given.items() if os.environ.get(name) != value]


def _is_healthy(client: httpx.Client) -> bool:
    try:
        health = client.get("/api/v2/monitor/health").json()
    except (httpx.HTTPError, ValueError):
        return False
    return all(health.get(part, {}).get("status") == "healthy" for part in ("scheduler", "dag_processor"))

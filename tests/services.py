"""Real servers for integration tests: PostgreSQL, and S3 served by a single-node Ceph.

Owns finding or installing Debian's packages, starting each server on free loopback ports with throw-away state,
and stopping it. Knows nothing of the project under test: it hands out addresses and keys.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import s3fs

Server = TypeVar("Server")

START_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05

# Each program a service runs, and the Debian package that has it.
POSTGRES_PROGRAMS = {"initdb": "postgresql", "postgres": "postgresql", "setpriv": "util-linux"}
CEPH_PROGRAMS = {
    "ceph": "ceph-common",
    "monmaptool": "ceph-mon",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
    "setpriv": "util-linux",
}

# One monitor, one store in memory, no keys. Everything that makes a cluster careful makes this one slow.
CEPH_CONF = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon_port}/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = /dev/null
# radosgw asks monitors for encryption unless told not to, and without keys there is none.
ms_mon_client_mode = crc
log_file = {folder}/$name.log
# A socket's path may be 107 bytes long; a test's folder can be longer.
admin_socket =
run_dir = {folder}

[mon]
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/cluster.log
# A monitor stops on a disk that is 95 % full, whatever is left in bytes.
mon_data_avail_crit = 0
mon_allow_pool_size_one = true
# Every change waits this long for others to join it: 1 s as shipped, and a start makes dozens of changes.
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0

[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
# A ceiling, not a reservation.
memstore_device_bytes = 4294967296

[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{s3_port}
rgw_data = {folder}/rgw
# Buckets may name any region, as on Amazon's.
rgw_relaxed_region_enforcement = true
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
rgw_thread_pool_size = 32
"""


class ServiceUnavailable(Exception):
    """A service's programs are not here and may not or cannot be installed; a test skips with this message."""


class ServiceFailed(Exception):
    """A service is installed but did not start; the message ends with its log."""


@dataclass(frozen=True)
class S3Server:
    """A running S3 server and one empty bucket on it."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    region: str

    @property
    def settings(self) -> dict[str, str]:
        """Settings by which a lake reaches this server."""
        return {
            "s3_endpoint": self.endpoint,
            "s3_access_key_id": self.access_key_id,
            "s3_secret_access_key": self.secret_access_key,
            "s3_region": self.region,
        }


def missing_packages(programs: dict[str, str] | None = None) -> list[str]:
    """Debian packages whose programs are not found; of both services unless told otherwise."""
    wanted = programs if programs is not None else POSTGRES_PROGRAMS | CEPH_PROGRAMS
    return sorted({package for name, package in wanted.items() if find_program(name) is None})


def find_program(name: str) -> str | None:
    """Path of a program, also where Debian keeps PostgreSQL's (newest version first) and root's."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    places = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, newest_first)]
    return shutil.which(name, path=os.pathsep.join(places))


def install(packages: Sequence[str]) -> None:
    """Install Debian packages; raise ``ServiceUnavailable`` where that is not allowed or does not work."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    wanted = f"missing Debian packages: {' '.join(packages)}"
    if not (os.environ.get("CI") or os.environ.get("INSTALL_SERVICES") == "1"):
        raise ServiceUnavailable(f"{wanted}; run `{' '.join(command)}` as root, or set INSTALL_SERVICES=1")
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceUnavailable(f"{wanted}; run `{' '.join(command)}` as root on Debian")
    try:
        with _no_service_starts():
            _apt(["apt-get", "update"])
            _apt(command)
    except subprocess.CalledProcessError as error:
        raise ServiceUnavailable(f"{wanted}; apt-get said: {error.stdout[-2000:]}") from error


def _apt(command: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Keep packages from starting the distribution's own servers; a policy that is already there stays."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def require(programs: dict[str, str]) -> dict[str, str]:
    """Paths of the programs, installing what is missing; one process at a time, for parallel test workers."""
    with (Path(tempfile.gettempdir()) / f"install-services-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if missing := missing_packages(programs):
            install(missing)
    found = {name: path for name in programs if (path := find_program(name)) is not None}
    if absent := sorted(programs.keys() - found.keys()):
        raise ServiceUnavailable(f"installed, and yet not found: {', '.join(absent)}")
    return found


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now; all held open at once, so they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def daemon(
    command: Sequence[str], log: Path, *, stop: signal.Signals, account: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in its own process group; it ends with this block, or with this process if that is killed.

    ``account`` is a command prefix that changes the user; it comes first, as a change of user forgets pdeathsig.
    """
    line = [*account, "setpriv", f"--pdeathsig={stop.name.removeprefix('SIG')}", "--", *command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
        )
    try:
        yield process
    finally:
        _stop(process, stop)


def _stop(process: subprocess.Popen[bytes], first: signal.Signals) -> None:
    for number in (first, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
        try:
            process.wait(STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


def wait_until(ready: Callable[[], bool], daemons: Sequence[subprocess.Popen[bytes]], what: str) -> None:
    """Poll until ready; raise ``ServiceFailed`` at the deadline or as soon as one of the daemons has ended."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if any(process.poll() is not None for process in daemons):
            raise ServiceFailed(f"{what}: the server ended while starting")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"{what}: not ready after {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


@contextmanager
def logs_in_errors(folder: Path) -> Iterator[None]:
    """Add the ends of the folder's logs to a failure to start."""
    try:
        yield
    except (ServiceFailed, subprocess.SubprocessError, OSError) as error:
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in sorted(folder.glob("*.log"))]
        raise ServiceFailed("\n".join([str(error), *tails])) from error


@contextmanager
def or_skip(service: AbstractContextManager[Server]) -> Iterator[Server]:
    """Run a service for a test, or skip the test with the reason where it cannot be had."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(service)
        except ServiceUnavailable as reason:
            pytest.skip(str(reason))
        yield server


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a fresh PostgreSQL cluster; yield ``postgresql://postgres@127.0.0.1:PORT/postgres``. Its log is in folder."""
    programs = require(POSTGRES_PROGRAMS)
    folder.mkdir(parents=True, exist_ok=True)
    # PostgreSQL refuses root, and the account it gets instead cannot enter a test's private folder.
    account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgres-") as data, ExitStack() as stack:
        if account:
            shutil.chown(data, "postgres", "postgres")
        with logs_in_errors(folder):
            url = _start_postgres(stack, programs, data, folder / "postgres.log", account)
        yield url


def _start_postgres(stack: ExitStack, programs: dict[str, str], data: str, log: Path, account: list[str]) -> str:
    initdb = [programs["initdb"], "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    with log.open("ab") as output:
        subprocess.run([*account, *initdb], cwd="/", stdout=output, stderr=output, check=True, timeout=START_SECONDS)
    (port,) = free_ports(1)
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients to leave.
    process = daemon([programs["postgres"], "-D", data, *flags], log, stop=signal.SIGINT, account=account)
    server = stack.enter_context(process)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    wait_until(lambda: _answers_sql(url), [server], "PostgreSQL")
    return url


def _answers_sql(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def s3(folder: Path) -> Iterator[S3Server]:
    """Run a Ceph monitor, object store and S3 gateway on an empty cluster; yield its address, keys and bucket.

    Objects live in memory. A client must not send the checksum trailers that newer SDKs add to an upload: see
    ``s3fs_options``, and ``AWS_REQUEST_CHECKSUM_CALCULATION=when_required`` for pyarrow.
    """
    programs = require(CEPH_PROGRAMS)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with logs_in_errors(folder):
            server = _Ceph(stack, programs, folder.resolve()).start()
        yield server


class _Ceph:
    """The steps of a start, in their order."""

    def __init__(self, stack: ExitStack, programs: dict[str, str], folder: Path) -> None:
        self.stack = stack
        self.programs = programs
        self.folder = folder
        self.fsid = str(uuid.uuid4())
        self.mon_port, self.s3_port = free_ports(2)
        self.daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> S3Server:
        ports = {"mon_port": self.mon_port, "s3_port": self.s3_port}
        (self.folder / "ceph.conf").write_text(CEPH_CONF.format(fsid=self.fsid, folder=self.folder, **ports))
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        self._start_monitor()
        self._start_store()
        server = self._start_gateway()
        s3fs.S3FileSystem(skip_instance_cache=True, **s3fs_options(server)).mkdir(server.bucket)
        return server

    def _start_monitor(self) -> None:
        monmap = str(self.folder / "monmap")
        address = f"[v2:127.0.0.1:{self.mon_port}/0]"
        self._run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", address, monmap)
        self._run("ceph-mon", "--id", "a", "--mkfs", "--monmap", monmap)
        self._daemon("ceph-mon", "--id", "a", "-f")

    def _start_store(self) -> None:
        osd = str(uuid.uuid4())
        # Waits for the monitor by itself, as radosgw-admin does for the store.
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", osd)
        self._daemon("ceph-osd", "--id", "0", "-f")

    def _start_gateway(self) -> S3Server:
        server = S3Server(f"http://127.0.0.1:{self.s3_port}", uuid.uuid4().hex, uuid.uuid4().hex, "lake", "us-east-1")
        keys = ("--access-key", server.access_key_id, "--secret-key", server.secret_access_key)
        user = ("--uid", "tests", "--display-name", "tests", *keys)
        self._run("radosgw-admin", "--name", "client.rgw", "user", "create", *user)
        self._daemon("radosgw", "--name", "client.rgw", "-f")
        wait_until(lambda: _accepts_connections(self.s3_port), self.daemons, "radosgw")
        return server

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [self.programs[program], "--conf", str(self.folder / "ceph.conf"), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        with (self.folder / "commands.log").open("ab") as output:
            subprocess.run(command, stdout=output, stderr=output, check=True, timeout=START_SECONDS)

    def _daemon(self, program: str, *arguments: str) -> None:
        command = self._command(program, *arguments)
        # Nothing here outlives the test, so nothing needs a clean shutdown.
        process = daemon(command, self.folder / f"{program}.output.log", stop=signal.SIGKILL)
        self.daemons.append(self.stack.enter_context(process))


def _accepts_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def s3fs_options(server: S3Server) -> dict[str, object]:
    """Arguments of ``s3fs.S3FileSystem``."""
    return {
        "key": server.access_key_id,
        "secret": server.secret_access_key,
        "client_kwargs": {"endpoint_url": server.endpoint, "region_name": server.region},
        "config_kwargs": {"request_checksum_calculation": "when_required"},
    }

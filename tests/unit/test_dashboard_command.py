"""What ``odh dashboard`` starts: on loopback, with nothing told to anyone, and stopped when it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import odh
from dashboards import cli

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
PARENT = """
import os, sys
from dashboards import cli
cli.STOP_SECONDS = 0.1
sys.exit(cli._run(sys.argv[1:], dict(os.environ)))
"""


def test_an_address_is_always_given_and_usage_statistics_are_off() -> None:
    words = cli.command("127.0.0.1", 8501)
    assert {"--server.address=127.0.0.1", "--server.port=8501", "--browser.gatherUsageStats=false"} <= set(words)


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"ODH_API_HOST": "0.0.0.0", "ODH_API_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"ODH_API_HOST": "::1"}, "http://[::1]:8000"),
    ],
)
def test_the_gateway_asked_is_the_one_the_settings_tell(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cli._own_gateway() == address


def test_an_address_that_is_none_is_misuse() -> None:
    refused = CliRunner().invoke(odh.app, ["dashboard", "--url", "localhost:8000"])
    assert refused.exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_does_not_end_is_ended(number: signal.Signals) -> None:
    words = [sys.executable, "-c", PARENT, sys.executable, "-c", STUBBORN]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 0


def test_a_server_that_fails_makes_the_command_fail() -> None:
    words = [sys.executable, "-c", PARENT, sys.executable, "-c", "raise SystemExit(3)"]
    assert subprocess.run(words, check=False).returncode == 3

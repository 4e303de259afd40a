"""Prometheus's own tool tries the alert rules on invented series."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from catalog.settings import REPOSITORY

pytestmark = pytest.mark.e2e_services
RULES, CASES = "dashboards/prometheus/rules.yml", "tests/prometheus/rules_test.yml"


@pytest.fixture(scope="module")
def promtool() -> str:
    """Path of promtool, installed where it may be."""
    if not shutil.which("promtool") and os.environ.get("INSTALL_SERVICES") == "1" and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-q", "prometheus"], check=True, capture_output=True)
    if found := shutil.which("promtool"):
        return found
    pytest.skip("promtool is missing: apt-get install prometheus")


@pytest.mark.parametrize("words", [("check", "rules", RULES), ("test", "rules", CASES)], ids=["check", "test"])
def test_promtool_is_content(promtool: str, words: tuple[str, ...]) -> None:
    done = subprocess.run([promtool, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout

"""Health is told in time, whatever hangs."""

from __future__ import annotations

import threading
from typing import Any

from structlog.testing import capture_logs

from api.health import HealthChecks
from catalog.errors import TransientError


def test_a_service_that_hangs_is_told_as_failed_and_asked_once() -> None:
    answers, asked = threading.Event(), []

    def hangs(_: Any) -> str:
        asked.append(1)
        answers.wait()
        return "late"

    checks: Any = {"slow": hangs, "sound": lambda _: "well"}
    health = HealthChecks(tables := object(), checks, seconds=0.05)  # type: ignore[arg-type]
    assert tables is not None
    with capture_logs() as logged:
        for _ in range(2):
            state = health.state()
            assert state.status == "failed"
            assert state.services["sound"].status == "ok"
            assert state.services["slow"].detail == "No answer within 0.05 s. The gateway's log says more."
    assert (len(asked), [one["event"] for one in logged]) == (1, ["service_hangs"] * 2)
    answers.set()
    health._asked["slow"].result(10)
    assert HealthChecks(object(), checks, seconds=10).state().status == "ok"  # type: ignore[arg-type]
    health.close()


def test_reasons_of_ours_are_told_and_those_of_drivers_are_not() -> None:
    def refused(_: Any) -> str:
        raise TransientError("The disk is full.")

    def broken(_: Any) -> str:
        raise RuntimeError("host=db password=hunter2")

    with capture_logs():
        services = HealthChecks(object(), {"ours": refused, "theirs": broken}).state().services  # type: ignore[arg-type]
    assert services["ours"].detail == "The disk is full. The gateway's log says more."
    assert services["theirs"].detail == "No answer (RuntimeError). The gateway's log says more."

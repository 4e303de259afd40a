"""What Prometheus and Grafana are given: every metric they name is told by the gateway, and every alert documented."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from api_lake import serving
from prometheus_client.parser import text_string_to_metric_families
from watched_lake import write_watched_lake

from catalog.settings import REPOSITORY

RULES = REPOSITORY / "dashboards" / "prometheus" / "rules.yml"
CASES = REPOSITORY / "tests" / "prometheus" / "rules_test.yml"
BOARDS = sorted((REPOSITORY / "dashboards" / "grafana").glob("*.json"))
NAME = re.compile(r"\b(odh[_:][a-z0-9_:]+)(\{[^}]*\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Names of samples the gateway gives, each with its labels."""
    with serving(write_watched_lake(tmp_path_factory.mktemp("watched")).settings) as client:
        client.get("/stats")
        yield told(client)


def told(client: httpx.Client) -> dict[str, set[str]]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(board: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(board.read_text("utf-8"))["panels"]
    return found


def expressions() -> list[tuple[str, str]]:
    """Each expression, with where it stands."""
    of_rules = [(f"{RULES.name}: {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules()]
    of_boards = [
        (f"{board.name}: {panel['title']}", target["expr"])
        for board in BOARDS
        for panel in panels(board)
        for target in panel.get("targets", ())
    ]
    return of_rules + of_boards


def test_there_is_something_to_check() -> None:
    assert len(expressions()) > 30
    assert all(NAME.search(expr) or "up{" in expr for _, expr in expressions())


def test_every_metric_named_is_one_the_gateway_tells(samples: dict[str, set[str]]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    unknown = [(where, name) for where, expr in expressions() for name, _ in NAME.findall(expr) if name not in samples]
    assert [one for one in unknown if one[1] not in recorded] == []


def test_every_label_a_metric_is_chosen_by_is_its_own(samples: dict[str, set[str]]) -> None:
    wrong = [
        (where, name, label)
        for where, expr in expressions()
        for name, selector in NAME.findall(expr)
        for label in LABEL.findall(selector)
        if name in samples and label not in samples[name]
    ]
    assert wrong == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_has_panels_that_do_not_overlap(board: Path) -> None:
    taken: set[tuple[int, int]] = set()
    found = panels(board)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_says_what_to_do_is_tried_and_documented() -> None:
    page = (REPOSITORY / "docs" / "dashboard.md").read_text("utf-8")
    alerts = [rule for rule in rules() if "alert" in rule]
    tried = re.findall(r"alertname: (\w+)\n(?:.*\n)?\s+exp_alerts", CASES.read_text("utf-8"))
    for rule in alerts:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert f"`{rule['alert']}`" in page
    assert {rule["alert"] for rule in alerts} == set(tried)

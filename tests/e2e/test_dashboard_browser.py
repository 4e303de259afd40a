"""Every page of the dashboard in a real browser, over a real gateway on a lake a real run made.

Pictures of the pages are kept in ``test-results/dashboard``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from api_lake import serving
from conftest import lake_settings
from lakes import environment, odh

from catalog.settings import REPOSITORY, Settings
from dashboards.app import PAGES
from dashboards.texts import Texts

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.e2e_services, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
PICTURES = REPOSITORY / "test-results" / "dashboard"
ENGLISH, FRENCH = Texts("en"), Texts("fr")
SECONDS = 60_000  # milliseconds a page may take on a machine that is busy


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of Debian's chromium, installed where it may be."""
    if not shutil.which("chromium") and os.environ.get("INSTALL_SERVICES") == "1" and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-q", "chromium"], check=True, capture_output=True)
    if found := shutil.which("chromium"):
        return found
    pytest.skip("chromium is missing: apt-get install chromium")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sample_url: str) -> Settings:
    settings = lake_settings(tmp_path_factory.mktemp("browser") / "lake", portal_url=sample_url)
    odh(settings, "run", "accidents", "irve")
    return settings


@pytest.fixture(scope="module")
def gateway(lake: Settings) -> Iterator[str]:
    with serving(lake) as client:
        yield str(client.base_url)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def dashboard(gateway: str) -> Iterator[str]:
    """The dashboard as its command starts it; ready once it says where it is."""
    port = free_port()
    words = [sys.executable, "-m", "odh", "dashboard", "--url", gateway, "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = iter(process.stdout.readline, "")
            assert any("URL:" in line for line in said), "the dashboard did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def address(gateway: str) -> Iterator[str]:
    with dashboard(gateway) as url:
        yield url


@dataclass
class Visit:
    """A page of the browser, and all that it asked and complained of."""

    page: Any
    asked: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self.asked.add(urlsplit(request.url).hostname or ""))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def settle(self, title: str) -> None:
        """Wait until a page is drawn whole."""
        self.page.get_by_role("heading", name=title, exact=True, level=1).wait_for(timeout=SECONDS)
        for placeholder in ("stSpinner", "stSkeleton"):
            gone = f"document.querySelectorAll('[data-testid={placeholder}]').length === 0"
            self.page.wait_for_function(gone, timeout=SECONDS)


@pytest.fixture
def visit(chromium: str) -> Iterator[Visit]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = Visit(browser.new_page(viewport={"width": 1360, "height": 1300}))
        found.watch()
        yield found
        browser.close()


def test_every_page_is_drawn_and_nothing_is_asked_of_others(visit: Visit, address: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    visit.page.goto(address)
    for name in PAGES:
        visit.page.get_by_role("link", name=ENGLISH(f"page.{name}"), exact=True).click()
        visit.settle(ENGLISH(f"page.{name}"))
        visit.page.screenshot(path=PICTURES / f"{name}.png")
        assert visit.page.get_by_test_id("stAlertContentError").count() == 0
    assert visit.asked == {"127.0.0.1"}
    assert visit.complaints == []


def test_the_language_is_switched_and_kept(visit: Visit, address: str) -> None:
    visit.page.goto(address)
    visit.settle(ENGLISH("page.overview"))
    visit.page.get_by_text("Français", exact=True).click()
    visit.settle(FRENCH("page.overview"))
    assert "lang=fr" in visit.page.url
    visit.page.wait_for_function("document.documentElement.lang === 'fr'", timeout=SECONDS)  # as it is read aloud
    visit.page.get_by_role("link", name=FRENCH("page.explore"), exact=True).click()
    visit.settle(FRENCH("page.explore"))
    visit.page.get_by_text(FRENCH("explore.most")).first.wait_for(timeout=SECONDS)
    visit.page.screenshot(path=PICTURES / "explore-fr.png")
    assert visit.complaints == []


def test_a_feed_is_reached_by_its_link_and_the_keyboard(visit: Visit, address: str) -> None:
    visit.page.goto(address)
    visit.settle(ENGLISH("page.overview"))
    link = visit.page.get_by_role("link", name="accidents", exact=True)
    link.focus()
    visit.page.keyboard.press("Enter")
    visit.settle(ENGLISH("page.dataset"))
    assert "feed=accidents" in visit.page.url
    tab = visit.page.get_by_role("tab", name=ENGLISH("tab.history"))
    tab.focus()
    visit.page.keyboard.press("ArrowRight")
    picture = visit.page.get_by_role("img", name="What is made from accidents")
    picture.wait_for(timeout=SECONDS)
    visit.page.screenshot(path=PICTURES / "dataset-lineage.png")
    assert visit.asked == {"127.0.0.1"}


def test_a_statement_is_run(visit: Visit, address: str) -> None:
    visit.page.goto(address)
    visit.settle(ENGLISH("page.overview"))
    visit.page.get_by_role("link", name=ENGLISH("page.explore"), exact=True).click()
    visit.settle(ENGLISH("page.explore"))
    visit.page.get_by_role("tab", name="SQL").click()
    visit.page.get_by_role("button", name=ENGLISH("sql.run")).click()
    visit.page.get_by_role("cell", name="Paris").first.wait_for(timeout=SECONDS)
    visit.page.screenshot(path=PICTURES / "explore-sql.png")


def test_the_dashboard_comes_back_with_its_gateway(visit: Visit, lake: Settings) -> None:
    port = free_port()
    with dashboard(f"http://127.0.0.1:{port}") as address:
        visit.page.goto(address)
        visit.page.get_by_text("does not answer").wait_for(timeout=SECONDS)
        words = [sys.executable, "-m", "odh", "serve", "--port", str(port)]
        with subprocess.Popen(words, env=environment(lake), stdout=subprocess.DEVNULL) as gateway:
            try:
                visit.page.get_by_role("heading", name=ENGLISH("overview.feeds")).first.wait_for(timeout=SECONDS)
            finally:
                gateway.terminate()

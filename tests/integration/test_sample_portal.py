"""The sample portal over HTTP: its files, its errors, its command, and its likeness to the shared stand-in."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.errors import UsageError
from ingestion.sample.generator import write_sample
from ingestion.sample.listing import BAAC, COG, IRVE
from ingestion.sample.portal import running_portal, serve

STAND_IN = Path(__file__).parents[2].parent / "shared" / "tools" / "portal"
BAAC_ID = "53698f4ca3a729239d2036df"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=0.05)
    return folder


@pytest.fixture(scope="module")
def portal(sample: Path) -> Iterator[httpx.Client]:
    with running_portal(sample) as url, httpx.Client(base_url=url) as client:
        yield client


def resources_of(portal: httpx.Client, key: str) -> dict[str, dict[str, Any]]:
    resources = portal.get(f"/api/2/datasets/{key}/resources/").raise_for_status().json()["data"]
    return {resource["title"]: resource for resource in resources}


def test_portal_gives_a_dataset_by_id_and_by_slug(portal: httpx.Client) -> None:
    by_id, by_slug = portal.get(f"/api/1/datasets/{BAAC_ID}/"), portal.get(f"/api/1/datasets/{BAAC}/")
    assert by_id.json() == by_slug.json()
    assert by_id.json()["id"] == BAAC_ID


def test_portal_sends_the_bytes_it_announced(portal: httpx.Client) -> None:
    for resource in resources_of(portal, BAAC).values():
        if resource["checksum"]:
            body = portal.get(resource["url"]).raise_for_status().content
            assert hashlib.sha1(body).hexdigest() == resource["checksum"]["value"]
            assert len(body) == resource["filesize"]


def test_portal_keeps_remote_files_without_checksum_and_dead_links_dead(portal: httpx.Client) -> None:
    communes = next(r for title, r in resources_of(portal, COG).items() if title.startswith("Liste des communes"))
    assert (communes["checksum"], communes["filesize"]) == (None, None)
    assert portal.get(communes["url"]).text.startswith("TYPECOM,COM,REG,DEP,")
    notice = next(r for r in resources_of(portal, BAAC).values() if r["type"] == "documentation")
    assert portal.get(notice["url"]).status_code == 404


def test_portal_redirects_the_stable_url_to_the_file(portal: httpx.Client) -> None:
    (resource,) = resources_of(portal, IRVE).values()
    answer = portal.get(resource["latest"])
    assert (answer.status_code, answer.headers["location"]) == (302, resource["url"])


def test_portal_moves_an_api_path_without_its_last_slash(portal: httpx.Client) -> None:
    answer = portal.get(f"/api/1/datasets/{BAAC}?page=1")
    assert answer.status_code == 308
    assert answer.headers["location"].endswith(f"/api/1/datasets/{BAAC}/?page=1")


def test_portal_follows_the_host_the_client_called(portal: httpx.Client) -> None:
    shape = portal.get(f"/api/1/datasets/{BAAC}/", headers={"Host": "data.example:81"}).json()
    assert all(resource["latest"].startswith("http://data.example:81/") for resource in shape["resources"])


def test_portal_masks_fields(portal: httpx.Client) -> None:
    answer = portal.get("/api/1/datasets/", headers={"X-Fields": "data{slug,resources{title}},total"}).json()
    assert set(answer) == {"data", "total"}
    assert {frozenset(shape) for shape in answer["data"]} == {frozenset({"slug", "resources"})}
    assert portal.get("/api/1/datasets/", headers={"X-Fields": "data{"}).status_code == 400


def test_portal_pages_link_to_each_other(portal: httpx.Client) -> None:
    seen, url = [], f"/api/2/datasets/{BAAC}/resources/?page_size=4"
    while url:
        page = portal.get(url).raise_for_status().json()
        seen += [resource["id"] for resource in page["data"]]
        url = page["next_page"]
    assert len(seen) == len(set(seen)) == page["total"] == 9
    assert portal.get("/api/1/datasets/?page=2").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/api/1/datasets/unknown/", 404, id="dataset"),
        pytest.param("/api/2/datasets/unknown/resources/", 404, id="resources"),
        pytest.param("/api/1/datasets/r/unknown", 404, id="redirect"),
        pytest.param("/api/2/datasets/resources/unknown/", 404, id="resource"),
        pytest.param("/api/1/datasets/?page=zero", 400, id="page"),
        pytest.param("/api/2/datasets/search/?page=2000", 400, id="search-window"),
        pytest.param("/api/1/datasets/?sort=colour", 400, id="sort"),
        pytest.param("/resources/../portal.json", 404, id="outside"),
    ],
)
def test_portal_explains_errors_in_json(portal: httpx.Client, path: str, status: int) -> None:
    answer = portal.get(path)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_portal_file_headers_allow_to_ask_again_and_to_resume(portal: httpx.Client) -> None:
    resource = resources_of(portal, BAAC)["lieux-2019.csv"]
    whole = portal.get(resource["url"])
    tag, modified = whole.headers["etag"], whole.headers["last-modified"]
    assert parsedate_to_datetime(modified).isoformat() == resource["last_modified"]
    assert whole.headers["content-type"] == "text/csv"

    def ask(**headers: str) -> httpx.Response:
        return portal.get(resource["url"], headers={name.replace("_", "-"): value for name, value in headers.items()})

    assert ask(If_None_Match=tag).status_code == 304
    assert ask(If_None_Match='"other"', If_Modified_Since=modified).status_code == 200
    assert ask(If_Modified_Since=modified).status_code == 304
    part = ask(Range="bytes=100-", If_Range=tag)
    assert (part.status_code, part.content) == (206, whole.content[100:])
    assert ask(Range="bytes=100-", If_Range='"other"').content == whole.content
    assert ask(Range="bytes=999999999-").status_code == 416
    head = portal.head(resource["url"])
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    assert int(head.headers["content-length"]) == len(whole.content)


def test_portal_as_of_serves_the_old_version_only(sample: Path, portal: httpx.Client) -> None:
    (new,) = resources_of(portal, IRVE).values()
    with running_portal(sample, date(2019, 6, 1)) as url, httpx.Client(base_url=url) as then:
        (old,) = resources_of(then, IRVE).values()
        assert then.get(old["url"]).text.startswith("n_amenageur;")
        assert then.get(new["url"].replace(str(portal.base_url).rstrip("/"), url)).status_code == 404


def test_running_portal_stops_with_its_block(sample: Path) -> None:
    with running_portal(sample) as url:
        assert httpx.get(f"{url}/api/1/datasets/").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/api/1/datasets/")


def test_serve_refuses_a_port_that_is_taken(sample: Path) -> None:
    with running_portal(sample) as url, pytest.raises(UsageError, match="choose another --port"):
        serve(sample, port=int(url.rpartition(":")[2]))


def environment(**more: str) -> dict[str, str]:
    """This environment without what makes Python programs report on themselves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
    return {**kept, **more}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_makes_the_sample_serves_it_and_stops_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    program = "import typer; from ingestion.sample.cli import sample_portal; typer.run(sample_portal)"
    options = ["--scale", "0.01", "--port", "0", "--port-file", str(tmp_path / "port"), "--as-of", "2019-12-31"]
    command = [sys.executable, "-c", program, *options]
    cache = environment(XDG_CACHE_HOME=str(tmp_path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=cache) as server:
        assert server.stdout is not None
        greeting, usage = server.stdout.readline(), server.stdout.readline()
        url = f"http://127.0.0.1:{(tmp_path / 'port').read_text().strip()}"
        try:
            with httpx.Client(base_url=url) as client:
                titles = resources_of(client, BAAC)
        finally:
            server.send_signal(number)
            _, errors = server.communicate(timeout=30)
    assert url in greeting
    assert f"ODH_PORTAL_URL={url} odh run" in usage
    assert "caracteristiques-2018.csv" in titles
    assert "caracteristiques-2019.csv" not in titles
    assert (server.returncode, "Traceback" in errors) == (0, False)
    assert (tmp_path / "opendatahub-sql" / "sample-scale-0.01-seed-0" / "portal.json").exists()


def comparable(data: Any) -> Any:
    """An answer without invented counts."""
    if isinstance(data, list):
        return [comparable(item) for item in data]
    if isinstance(data, dict):
        return {k: sorted(v) if k == "metrics" else comparable(v) for k, v in data.items()}
    return data


@pytest.fixture(scope="module", params=[None, "2019-12-31"])
def both(request: pytest.FixtureRequest, sample: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """The sample portal and the stand-in over the same folder, at the same date, under the same name."""
    if not STAND_IN.is_file():
        pytest.skip("the stand-in portal is not beside the repository, in ../shared/tools")
    as_of, name = request.param, {"Host": "portal.example"}
    command = [sys.executable, str(STAND_IN), "--data", str(sample), *(["--as-of", as_of] if as_of else [])]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as server,
        running_portal(sample, as_of and date.fromisoformat(as_of)) as url,
    ):
        assert server.stdout is not None
        stand_in = server.stdout.readline().split()[-1]
        with (
            httpx.Client(base_url=url, headers=name) as ours,
            httpx.Client(base_url=stand_in, headers=name) as theirs,
        ):
            yield ours, theirs
        server.terminate()


@pytest.mark.parametrize(
    "path",
    [
        "/api/1/datasets/",
        "/api/1/datasets/?q=accidents",
        "/api/1/datasets/?page_size=1&page=2&sort=title",
        f"/api/1/datasets/{BAAC}/",
        f"/api/1/datasets/{IRVE}/",
        f"/api/2/datasets/{BAAC_ID}/",
        f"/api/2/datasets/{BAAC_ID}/resources/",
        f"/api/2/datasets/{COG}/resources/?page_size=2",
        f"/api/2/datasets/{BAAC_ID}/resources/?type=documentation",
        "/api/2/datasets/search/",
        "/api/2/datasets/search/?q=bornes&page_size=1",
        "/api/2/datasets/search/?tag=baac&organization=534fff91a3a7292c64a77f53",
        "/api/2/datasets/search/?page=9",
        "/api/1/datasets/unknown/",
        "/api/1/datasets/?page=99",
    ],
)
@pytest.mark.real
def test_portal_answers_as_the_stand_in_does(both: tuple[httpx.Client, httpx.Client], path: str) -> None:
    ours, theirs = (client.get(path) for client in both)
    assert ours.status_code == theirs.status_code
    assert comparable(ours.json()) == comparable(theirs.json())


@pytest.mark.real
def test_portal_shows_resources_and_masks_as_the_stand_in_does(both: tuple[httpx.Client, httpx.Client]) -> None:
    ours, theirs = both
    for resource in resources_of(ours, BAAC).values():
        path = f"/api/2/datasets/resources/{resource['id']}/"
        assert comparable(ours.get(path).json()) == comparable(theirs.get(path).json())
    mask = {"X-Fields": "data{id,resources{id,url}},next_page"}
    assert ours.get("/api/1/datasets/", headers=mask).json() == theirs.get("/api/1/datasets/", headers=mask).json()

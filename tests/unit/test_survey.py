"""One wrong feed file leaves out its feed and those that need it, and no other."""

from __future__ import annotations

import pytest
from test_registry import GOOD, write

from catalog.errors import InvalidFeed
from catalog.registry import load_registry
from catalog.settings import Settings
from catalog.survey import survey_feeds


def test_a_survey_of_sound_files_is_the_registry(settings: Settings) -> None:
    found = survey_feeds(settings)
    assert found.mistakes == {}
    assert list(found.registry.feeds) == list(load_registry(settings).feeds)


def test_a_wrong_file_leaves_out_its_feed_and_those_that_need_it(settings: Settings) -> None:
    folder = settings.lake / "feeds"
    write(folder, "good")
    write(folder, "broken", "feed: broken\n: :")
    write(folder, "needy", needs="broken")
    write(folder, "lost", needs="nobody")
    (folder / "bytes.yml").write_bytes(b"\xff\xfe\xff")
    found = survey_feeds(settings)
    assert set(found.registry.feeds) == {*load_registry_names(settings), "good"}
    assert set(found.mistakes) == {"broken", "needy", "lost", "bytes"}
    assert f"{folder / 'broken.yml'}:2: not valid YAML" in found.mistakes["broken"]
    assert (
        f"{folder / 'needy.yml'}:7: feed 'needy' needs broken: the file of broken is wrong" in found.mistakes["needy"]
    )
    assert "needs nobody: they are not there" in found.mistakes["lost"]


def load_registry_names(settings: Settings) -> set[str]:
    return set(load_registry(settings.model_copy(update={"lake": settings.lake / "empty"})).feeds)


def test_a_circle_leaves_out_those_in_it(settings: Settings) -> None:
    write(settings.lake / "feeds", "hen", needs="egg")
    write(settings.lake / "feeds", "egg", needs="hen")
    found = survey_feeds(settings)
    assert set(found.mistakes) == {"hen", "egg"}


def test_of_domains_in_a_circle_the_feed_that_closes_it_is_left_out(settings: Settings) -> None:
    folder = settings.lake / "feeds"
    write(folder, "a1", domain="a")
    write(folder, "b1", domain="b", needs="a1")
    write(folder, "z_a2", domain="a", needs="b1")
    found = survey_feeds(settings)
    assert set(found.mistakes) == {"z_a2"}
    assert {"a1", "b1"} <= set(found.registry.feeds)


def test_a_name_declared_twice_is_the_first_files(settings: Settings) -> None:
    write(settings.lake / "feeds", "irve", GOOD)
    found = survey_feeds(settings)
    assert "already declared" in found.mistakes["irve"]
    assert found.registry.get("irve").domain != "things"


def test_a_wrong_feed_asked_for_by_name_is_refused(settings: Settings) -> None:
    write(settings.lake / "feeds", "broken", "feed: [")
    found = survey_feeds(settings)
    found.demand(["irve"])
    with pytest.raises(InvalidFeed, match="not valid YAML"):
        found.demand(["irve", "broken"])

"""No URL written by a stranger reaches our own network."""

from __future__ import annotations

import pytest

from catalog.errors import Refused
from ingestion.addresses import AddressRule, resolve_host

PUBLIC_PORTAL = "https://www.data.gouv.fr"
LOCAL_PORTAL = "http://127.0.0.1:7000"


def rule(portal: str, *addresses: str) -> AddressRule:
    return AddressRule(portal, resolve=lambda host: addresses)


@pytest.mark.parametrize("portal", [PUBLIC_PORTAL, LOCAL_PORTAL])
def test_public_address_is_reached(portal: str) -> None:
    rule(portal, "198.41.0.4", "2001:503:ba3e::2:30", "::ffff:198.41.0.4", "64:ff9b::c629:4").check(
        "https://static.data.gouv.fr/file.csv"
    )


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("::1", id="loopback-6"),
        pytest.param("10.1.2.3", id="private"),
        pytest.param("192.168.1.1", id="private-home"),
        pytest.param("100.64.0.1", id="carrier"),
        pytest.param("169.254.169.254", id="link-local-metadata"),
        pytest.param("fd00:ec2::254", id="metadata-6"),
        pytest.param("fe80::1%eth0", id="link-local-6-zone"),
        pytest.param("::ffff:10.0.0.1", id="private-mapped"),
        pytest.param("::ffff:169.254.169.254", id="link-local-mapped"),
        pytest.param("64:ff9b::a9fe:a9fe", id="link-local-behind-nat64"),
        pytest.param("2002:0a00:0001::1", id="private-6to4"),
        pytest.param("0.0.0.0", id="any"),
        pytest.param("224.0.0.1", id="multicast"),
    ],
)
def test_address_of_our_own_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="not a public address"):
        rule(PUBLIC_PORTAL, address).check("http://looks-harmless.example/file.csv")


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(Refused):
        rule(PUBLIC_PORTAL, "198.41.0.4", "10.0.0.1").check("http://two-faced.example/file.csv")


def test_loopback_is_reached_from_a_local_portal_only() -> None:
    rule(LOCAL_PORTAL, "127.0.0.1").check("http://127.0.0.1:9999/file.csv")
    with pytest.raises(Refused):
        rule(LOCAL_PORTAL, "10.0.0.1").check("http://10.0.0.1/file.csv")


def test_link_local_is_refused_even_to_the_portal_itself() -> None:
    for portal in (LOCAL_PORTAL, "http://169.254.169.254"):
        with pytest.raises(Refused):
            rule(portal, "169.254.169.254").check("http://169.254.169.254/latest/meta-data/")


def test_private_portal_serves_its_own_files_and_no_neighbour() -> None:
    portal = rule("http://portal.cluster.local:8080", "10.42.0.7")
    portal.check("http://portal.cluster.local:8080/resources/file.csv")
    for neighbour in ("http://portal.cluster.local:5432/", "http://ledger.cluster.local:8080/"):
        with pytest.raises(Refused):
            portal.check(neighbour)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://ftp.example/f.csv", "gopher://x/", "/local", "", "http://"]
)
def test_only_http_addresses_are_asked(url: str) -> None:
    with pytest.raises(Refused, match="no http or https address"):
        rule(LOCAL_PORTAL, "127.0.0.1").check(url)


def test_default_port_is_the_portals_own() -> None:
    portal = rule("http://portal.cluster.local", "10.42.0.7")
    portal.check("http://portal.cluster.local:80/file.csv")
    with pytest.raises(Refused):
        portal.check("https://portal.cluster.local/file.csv")


def test_malformed_url_is_refused() -> None:
    with pytest.raises(Refused, match="is not a URL"):
        rule(LOCAL_PORTAL).check("http://[::1/file.csv")


def test_numeric_disguise_is_resolved_as_the_connection_would() -> None:
    with pytest.raises(Refused):
        AddressRule(PUBLIC_PORTAL, resolve=resolve_host).check("http://2130706433/")  # 127.0.0.1 as one number


@pytest.mark.parametrize("host", ["a" * 70 + ".example", ".."])
def test_host_that_cannot_be_resolved_has_no_address(host: str) -> None:
    assert resolve_host(host) == []

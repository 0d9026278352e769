"""Which addresses may be opened."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.core.addresses import canonical, embedded, is_global, judge


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.12.1", "100.64.0.1",
        "0.0.0.0", "192.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.7", "198.18.0.1", "192.88.99.1", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00::1", "fd00:ec2::254", "ff02::1", "ff0e::1",
        "2001:db8::1", "3fff::1", "2001::1", "100::1", "5f00::1", "4000::1", "64:ff9b:1::808:808",
        "::ffff:10.0.0.5", "::ffff:8.8.8.8", "::10.0.0.5", "::ffff:0:10.0.0.5", "64:ff9b::10.0.0.5", "64:ff9b::a9fe:a9fe",
        "2002:0a00:0005::1", "2002:7f00:1::", "2001:0:0a00:0005::", "2a00:1450::5efe:10.0.0.5", "2a00:1450::200:5efe:a00:5",
        "", "pypi.org", "10.0.0.0/8", "8.8.8.0/24", "!8.8.8.8", "8.8.8.8-8.8.8.9", "0x08080808", "8.8.2056", "08.8.8.8",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_opened(address: str) -> None:
    assert judge([address]) == ("not_global", canonical(address))


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "151.101.0.223", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "100.63.0.1",
        "100.128.0.0", "223.255.255.255", "2a04:4e42::223", "2606:4700:4700::1111", "2001:4860:4860::8888",
        "64:ff9b::8.8.8.8", "2002:0808:0808::1",
    ],
)  # fmt: skip
def test_a_public_address_is_opened(address: str) -> None:
    assert judge([address]) == ("", "")


def test_the_first_bad_address_is_named_in_its_one_spelling() -> None:
    assert judge(["8.8.8.8", "FD00:0:0::1%eth0", "10.0.0.5"]) == ("not_global", "fd00::1")


def test_no_addresses_are_nothing_to_refuse() -> None:
    assert judge([]) == ("", "")


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("93.184.215.14", "93.184.215.14"),
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:93.184.215.14", "93.184.215.14"),
        ("64:ff9b::5db8:d70e", "93.184.215.14"),
        ("2002:5db8:d70e::1", "93.184.215.14"),
        ("2a04:4E42:0::0223", "2a04:4e42::223"),
    ],
)
def test_an_address_of_a_peer_is_said_to_be_one_however_it_is_reached(address: str, peer: str) -> None:
    assert judge(["8.8.8.8", address], {"192.0.2.9", peer}) == ("is_peer", canonical(address))


def test_what_an_address_embeds_is_told() -> None:
    assert embedded("64:ff9b::8.8.8.8") == ("8.8.8.8",)
    assert embedded("2001:0:0808:0808::f5ff:fffa") == ("8.8.8.8", "10.0.0.5")
    assert embedded("8.8.8.8") == embedded("2a04:4e42::223") == embedded("none") == ()


@given(st.ip_addresses())
def test_whatever_python_takes_for_not_global_is_not_global(address: object) -> None:
    assert isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address)
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        nat64 = address in ipaddress.IPv6Network("64:ff9b::/96") if address.version == 6 else False
        assert nat64 or not is_global(str(address))


@given(st.text(max_size=40))
def test_any_text_has_a_verdict(text: str) -> None:
    assert judge([text])[0] in {"", "not_global"}

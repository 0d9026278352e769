"""The sandbox's own DNS."""

from __future__ import annotations

import ipaddress

import pytest

from sm.core.addresses import judge
from sm.sandbox.network.names import EXAMPLE_NAMES, BadNameError, Names


def test_a_name_moves_and_its_old_servers_stay() -> None:
    names = Names({"a.example": ["192.0.2.1"]})
    names.set("A.example", ["192.0.2.2"])
    assert names.lookup("a.EXAMPLE") == ("192.0.2.2",)
    assert names.hosted("a.example") == {"192.0.2.1", "192.0.2.2"}


def test_a_name_that_fails_has_no_addresses_and_no_line_in_hosts() -> None:
    names = Names({"a.example": ["192.0.2.1", "2001:db8::1"], "b.example": ["192.0.2.2"]})
    names.set("b.example", ["192.0.2.2"], "servfail")
    assert (names.lookup("b.example"), names.answer("b.example")) == ((), "servfail")
    assert names.hosts() == "127.0.0.1 localhost\n192.0.2.1 a.example\n"


def test_an_unknown_name_does_not_exist() -> None:
    assert Names({}).answer("nowhere.example") == "nxdomain"


def test_whoever_subscribed_is_told_of_each_change() -> None:
    names, told = Names({}), []
    names.subscribe(lambda: told.append(names.hosts()))
    names.set("a.example", ["192.0.2.1"])
    names.set("a.example", [])
    assert told == ["127.0.0.1 localhost\n192.0.2.1 a.example\n", "127.0.0.1 localhost\n"]


@pytest.mark.parametrize(("name", "addresses"), [("", ["192.0.2.1"]), ("a b", ["192.0.2.1"]), ("a", ["b"])])
def test_what_is_no_name_or_address_is_refused(name: str, addresses: list[str]) -> None:
    with pytest.raises(BadNameError):
        Names({}).set(name, addresses)


def test_the_example_names_have_addresses_that_may_be_opened() -> None:
    addresses = [address for found in EXAMPLE_NAMES.values() for address in found]
    assert judge(addresses) == ("", "")
    assert all(ipaddress.ip_address(address).is_global for address in addresses)


def test_a_hosts_file_can_send_every_name_to_one_place() -> None:
    names = Names({"a.example": ["192.0.2.1", "192.0.2.2"], "six.example": ["2001:db8::1"]})
    assert names.hosts("192.0.2.9") == "127.0.0.1 localhost\n192.0.2.9 a.example\n"

"""What a name leads to, judged: public and nobody's of ours; and whose an address of the table can be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve
from engine_kit import ManualClock, until
from wall_kit import PYPI, VM, Dns

from sm.core.alias import AliasData, Entry, Grant
from sm.core.events import Resolved
from sm.engine import names as module
from sm.engine.blame import Odd, find_odd
from sm.engine.names import AT_ONCE, PEERS_FOR_MS, Names, addresses_of
from sm.resolver import Resolution
from sm.sandbox.network.names import Names as Zone

PEER = "192.175.48.222"


@pytest.fixture
def dns() -> Dns:
    return Dns(Zone())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def names(dns: Dns, clock: ManualClock, *peers: str) -> Names:
    return Names(dns, peers, clock)  # type: ignore[arg-type]


class Whereabouts:
    """Where the peers are, and how often that was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Resolution] = {}
        self.asked: list[str] = []

    async def where(self, host: str) -> Resolution:
        self.asked.append(host)
        return self.answers.get(host, Resolution((), "unknown"))


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Whereabouts:
    whereabouts = Whereabouts()
    monkeypatch.setattr(module, "where", whereabouts.where)
    return whereabouts


# --- names ----------------------------------------------------------------------------------------------------------------


async def test_each_name_is_asked_once_and_answered_in_the_order_asked_for(
    dns: Dns, clock: ManualClock
) -> None:
    found = await names(dns, clock).resolve(["pypi.org", "crates.io", "pypi.org"])
    assert [one.domain for one in found] == ["pypi.org", "crates.io"]
    assert sorted(dns.asked) == ["crates.io", "pypi.org"]


async def test_no_names_ask_nobody(dns: Dns, clock: ManualClock, peers: Whereabouts) -> None:
    assert await names(dns, clock, "vm.internal").resolve([]) == ()
    assert (dns.asked, peers.asked) == ([], [])


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ((PYPI,), ("", "")),
        ((PYPI, "2620:4f:8000::10"), ("", "")),
        ((PYPI, "10.0.0.5"), ("not_global", "10.0.0.5")),
        (("169.254.169.254",), ("not_global", "169.254.169.254")),
        (("100.64.0.1",), ("not_global", "100.64.0.1")),
        (("127.0.0.1",), ("not_global", "127.0.0.1")),
        (("::1",), ("not_global", "::1")),
        (("fe80::1",), ("not_global", "fe80::1")),
        (("64:ff9b::a00:5",), ("not_global", "64:ff9b::a00:5")),
        ((VM,), ("is_peer", VM)),
        ((f"::ffff:{VM}",), ("is_peer", "::ffff:c0af:30c8")),
    ],
)
async def test_a_name_is_judged_by_every_address_that_it_has(
    dns: Dns, clock: ManualClock, answer: tuple[str, ...], verdict: tuple[str, str]
) -> None:
    dns.says("some.example", *answer)
    (found,) = await names(dns, clock, VM).resolve(["some.example"])
    assert found == Resolved("some.example", "found", answer, *verdict)


async def test_a_resolver_that_does_not_tell_all_is_judged_by_what_it_told(
    dns: Dns, clock: ManualClock
) -> None:
    """More addresses than are taken: the name is unknown, and refused all the same where one of them is bad."""
    dns._said["many.example"] = Resolution((PYPI, "10.0.0.5"), "unknown")
    (found,) = await names(dns, clock).resolve(["many.example"])
    assert (found.status, found.refused) == ("unknown", "not_global")


async def test_only_so_many_questions_are_under_way_at_once(clock: ManualClock) -> None:
    class Slow:
        now, most = 0, 0

        async def resolve(self, _name: str) -> Resolution:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            return Resolution((PYPI,), "found")

    slow: Any = Slow()
    found = await Names(slow, (), clock).resolve(f"n{number}.example" for number in range(100))
    assert (len(found), slow.most) == (100, AT_ONCE)


async def test_the_alias_client_gets_addresses_or_none(dns: Dns) -> None:
    ask = addresses_of(dns)  # type: ignore[arg-type]
    dns.says("slow.example", unknown=True)
    assert await ask("crates.io") == {"192.52.193.60"}
    assert await ask("slow.example") == frozenset()


# --- peers ----------------------------------------------------------------------------------------------------------------


async def test_peers_are_asked_for_once_a_minute(dns: Dns, clock: ManualClock, peers: Whereabouts) -> None:
    peers.answers["vm.internal"] = Resolution((PEER,), "found")
    known = names(dns, clock, "vm.internal", "vm.internal")
    assert await known.peers() == {PEER}
    clock.ms += PEERS_FOR_MS - 1
    await known.peers()
    assert peers.asked == ["vm.internal"]
    clock.ms += 1
    await known.peers()
    assert peers.asked == ["vm.internal"] * 2


async def test_a_peer_that_moved_is_known_where_it_is_now(
    dns: Dns, clock: ManualClock, peers: Whereabouts
) -> None:
    peers.answers["vm.internal"] = Resolution((PEER,), "found")
    known = names(dns, clock, "vm.internal")
    await known.peers()
    peers.answers["vm.internal"] = Resolution((VM,), "found")
    clock.ms += PEERS_FOR_MS
    assert await known.peers() == {VM}


@pytest.mark.parametrize("status", ["unknown", "none"])
async def test_a_peer_whose_name_has_no_answer_now_stays_where_it_was(
    dns: Dns, clock: ManualClock, peers: Whereabouts, status: Any
) -> None:
    peers.answers |= {"vm.internal": Resolution((PEER,), "found"), "chat": Resolution((VM,), "found")}
    known = names(dns, clock, "vm.internal", "chat")
    await known.peers()
    peers.answers["vm.internal"] = Resolution((), status)
    clock.ms += PEERS_FOR_MS
    assert await known.peers() == {PEER, VM}


async def test_a_peer_that_was_never_found_is_asked_for_again_the_next_time(
    dns: Dns, clock: ManualClock, peers: Whereabouts
) -> None:
    """Nothing that may be a peer's is to be opened for a minute because a resolver was late once."""
    known = names(dns, clock, "vm.internal")
    assert await known.peers() == frozenset()
    peers.answers["vm.internal"] = Resolution((PEER,), "found")
    dns.says("sly.example", PEER)
    (found,) = await known.resolve(["sly.example"])
    assert found.refused == "is_peer"


# --- whose it is ----------------------------------------------------------------------------------------------------------


def ledger(**entries: str) -> AliasData:
    """Names that are granted, and an address that each had when it was approved."""
    data = AliasData()
    for number, (label, address) in enumerate(entries.items()):
        domain = f"{label}.example"
        grant = Grant(f"g{number}", domain, "r", "c", "u", "sarah", "button", 0, state="held")
        data = data.with_grant(grant).with_entry(
            Entry(domain, ours=True, confirmed=True, addresses=(address,))
        )
    return data


async def odd(dns: Dns, data: AliasData, table: list[str], *others: str) -> Odd:
    for entry in data.entries.values():
        if entry.domain not in dns._said:
            dns.says(entry.domain, *entry.addresses)
    entries = [*data.entries, *others]
    return await find_odd(names(dns, ManualClock(), VM), table, table=table, entries=entries, data=data)


async def test_a_table_of_public_addresses_asks_nobody(dns: Dns) -> None:
    assert await odd(dns, ledger(a=PYPI), [PYPI, "192.52.193.77"], "other.example") == Odd()
    assert dns.asked == []


async def test_the_name_of_which_the_table_has_nothing_is_suspect(dns: Dns) -> None:
    data = ledger(a="192.52.193.1", b="192.52.193.2", c="192.52.193.3")
    found = await odd(dns, data, ["192.52.193.1", "10.0.0.5", "192.52.193.3"])
    assert found == Odd("not_global", "10.0.0.5", ("b.example",))


async def test_a_name_is_known_by_its_address_of_the_last_time_too(dns: Dns) -> None:
    data = ledger(a="192.52.193.1", b="192.52.193.2")
    dns.says("a.example", "192.52.193.99")  # moved for us, and not yet at the firewall
    found = await odd(dns, data, ["192.52.193.1", "10.0.0.5"])
    assert found.suspects == ("b.example",)


@pytest.mark.parametrize(
    ("row", "entry"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("10.0.0.2", "10.0.0.1-10.0.0.9"),
        ("10.0.0.2/31", "10.0.0.1-10.0.0.9"),
        ("10.9.0.0/25", "10.9.0.0/24"),
        ("10.9.0.7", "10.9.0.0/24"),
        ("fd00::1", "fd00:0::1"),
    ],
)
async def test_what_somebody_else_entered_as_an_address_is_explained(dns: Dns, row: str, entry: str) -> None:
    assert await odd(dns, ledger(a=PYPI), [PYPI, row], entry) == Odd()


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.50",
        "210.0.0.5",
        "10.0.0.6-10.0.0.9",
        "10.1.0.0/16",
        "!10.0.0.5",
        "fd00::/8",
    ],
)
async def test_what_lies_beside_it_explains_nothing(dns: Dns, entry: str) -> None:
    found = await odd(dns, ledger(a=PYPI), ["10.0.0.5"], entry)
    assert (found.address, found.suspects) == ("10.0.0.5", ("a.example",))


async def test_what_stood_there_at_the_last_look_is_explained_though_it_was_taken_out_since(dns: Dns) -> None:
    data = evolve(ledger(a=PYPI), foreign=("10.1.2.3",))
    assert await odd(dns, data, [PYPI, "10.1.2.3"]) == Odd()


async def test_a_name_of_somebody_elses_explains_its_own_addresses(dns: Dns) -> None:
    dns.says("intranet.example", "10.0.0.5")
    assert await odd(dns, ledger(a=PYPI), [PYPI, "10.0.0.5"], "intranet.example") == Odd()


@pytest.mark.parametrize(
    "other", ["intranet.example", "Intranet.Example", "llm_net", "münchen.example", "x" * 300]
)
async def test_one_that_the_table_does_not_show_may_be_the_one_and_then_nobody_is_blamed(
    dns: Dns, other: str
) -> None:
    found = await odd(dns, ledger(a=PYPI), ["10.0.0.5"], other)
    assert found == Odd("not_global", "10.0.0.5")


async def test_a_row_that_shuts_an_address_opens_none(dns: Dns) -> None:
    assert await odd(dns, ledger(a=PYPI), [PYPI, "!10.0.0.5", "!10.0.0.0/8"]) == Odd()


async def test_an_address_of_ours_in_the_table_is_said_to_be_that(dns: Dns) -> None:
    found = await odd(dns, ledger(a=PYPI), [VM])
    assert found == Odd("is_peer", VM, ("a.example",))


async def test_the_only_name_of_ours_is_the_one_unless_another_was_taken_out_for_it(dns: Dns) -> None:
    data, table = ledger(a=PYPI), [PYPI, "10.0.0.5"]
    assert (await odd(dns, data, table)).suspects == ("a.example",)
    turned = Grant("g9", "b.example", "r", "c", "u", "x", "button", 0, state="withdrawn", reason="not_global")
    assert (await odd(dns, data.with_grant(turned), table)).suspects == ()


async def test_with_nothing_of_ours_it_is_said_and_nobody_is_blamed(dns: Dns) -> None:
    assert await odd(dns, AliasData(), ["10.0.0.5"]) == Odd("not_global", "10.0.0.5")


async def test_a_question_that_is_held_up_holds_up_no_other(dns: Dns, clock: ManualClock) -> None:
    hold = dns.hold = asyncio.Event()
    slow = asyncio.create_task(names(dns, clock).resolve(["pypi.org"]))
    await until(lambda: dns.asked == ["pypi.org"])
    assert (await names(dns, clock).resolve(["crates.io"]))[0].status == "found"
    hold.set()
    assert (await slow)[0].status == "found"

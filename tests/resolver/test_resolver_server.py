"""The resolver, asking a DNS server over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import dns.message
import dns.rcode
import pytest
from dns_kit import Server

from sm.resolver import Resolution, Resolver

UNKNOWN, NONE = Resolution((), "unknown"), Resolution((), "none")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


async def ask(server: Server, name: str = "a.example", timeout_s: float = 5.0) -> Resolution:
    return await Resolver(server.address, timeout_s=timeout_s).resolve(name)


async def test_both_families_are_found_in_one_spelling_sorted_and_once(server: Server) -> None:
    server.add("a.example", "9.9.9.9", "8.8.8.8")
    server.add("a.example", "2A04:4E42:0:0::0223", kind="AAAA")
    assert await ask(server) == Resolution(("2a04:4e42::223", "8.8.8.8", "9.9.9.9"), "found")
    assert await ask(server, "a.example.") == await ask(server)


async def test_a_name_with_one_family_is_found(server: Server) -> None:
    server.add("a.example", "2a04:4e42::223", kind="AAAA")
    assert await ask(server) == Resolution(("2a04:4e42::223",), "found")


async def test_a_name_that_does_not_exist_has_none(server: Server) -> None:
    assert await ask(server) == NONE


async def test_a_name_without_addresses_has_none(server: Server) -> None:
    server.add("a.example", '"text"', kind="TXT")
    assert await ask(server) == NONE


async def test_aliases_are_followed_when_the_server_does_not(server: Server) -> None:
    server.add("a.example", "b.example.", kind="CNAME")
    server.add("b.example", "c.example.", kind="CNAME")
    server.add("c.example", "8.8.8.8")
    assert await ask(server) == Resolution(("8.8.8.8",), "found")


async def test_an_alias_to_nowhere_has_none(server: Server) -> None:
    server.add("a.example", "b.example.", kind="CNAME")
    assert await ask(server) == NONE


async def test_aliases_in_a_circle_are_unknown(server: Server) -> None:
    server.add("a.example", "b.example.", kind="CNAME")
    server.add("b.example", "a.example.", kind="CNAME")
    assert await ask(server) == UNKNOWN
    assert len(server.asked) <= 16


@pytest.mark.parametrize("code", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR])
async def test_a_server_that_fails_is_unknown_at_once(server: Server, code: dns.rcode.Rcode) -> None:
    server.fail("a.example", code)
    assert await ask(server) == UNKNOWN


async def test_a_server_that_is_silent_is_unknown(server: Server) -> None:
    server.silence("a.example")
    assert await ask(server, timeout_s=0.2) == UNKNOWN


async def test_nobody_there_is_unknown(server: Server) -> None:
    await server.stop()
    assert await ask(server, timeout_s=0.3) == UNKNOWN


async def test_a_server_whose_own_name_is_unknown_is_unknown() -> None:
    assert await Resolver("no-such-server.invalid", timeout_s=5).resolve("a.example") == UNKNOWN


async def test_a_server_is_found_by_its_name(server: Server) -> None:
    server.add("a.example", "8.8.8.8")
    resolver = Resolver(f"localhost:{server.address.rpartition(':')[2]}")
    assert await resolver.resolve("a.example") == Resolution(("8.8.8.8",), "found")


async def test_one_family_is_enough_when_the_other_fails(server: Server) -> None:
    server.add("a.example", "8.8.8.8")
    server.fail("a.example", dns.rcode.SERVFAIL, "AAAA")
    assert await ask(server) == Resolution(("8.8.8.8",), "found")


async def test_one_family_unknown_with_none_of_the_other_is_unknown(server: Server) -> None:
    server.add("a.example", '"text"', kind="TXT")
    server.silence("a.example", "AAAA")
    assert await ask(server, timeout_s=0.3) == UNKNOWN


async def test_one_silent_family_does_not_cost_the_other(server: Server) -> None:
    server.add("a.example", "8.8.8.8")
    server.silence("a.example", "AAAA")
    assert await ask(server, timeout_s=0.3) == Resolution(("8.8.8.8",), "found")


@pytest.mark.parametrize("junk", [b"", b"\x00", b"\xff" * 40, b"\x00" * 12, b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_answer_is_unknown(server: Server, junk: bytes) -> None:
    for kind in ("A", "AAAA"):
        server.replies[("a.example", kind)] = lambda _question: junk
    assert await ask(server, timeout_s=0.2) == UNKNOWN


async def test_an_answer_to_another_question_is_not_believed(server: Server) -> None:
    def other(question: dns.message.Message) -> bytes:
        asked = dns.message.make_query("b.example", question.question[0].rdtype)
        asked.id = question.id
        response = dns.message.make_response(asked)
        response.answer.append(dns.rrset.from_text("b.example.", 60, "IN", "A", "10.0.0.5"))
        return response.to_wire()

    server.replies[("a.example", "A")] = other
    assert await ask(server, timeout_s=0.2) == UNKNOWN


async def test_a_long_answer_comes_over_tcp(server: Server) -> None:
    server.add("a.example", *(f"8.8.8.{number}" for number in range(60)))
    found = await ask(server)
    assert (found.status, len(found.addresses)) == ("found", 60)
    assert ("a.example", "A", "tcp") in server.asked


async def test_more_addresses_than_can_be_judged_are_unknown_and_hide_no_private_one(server: Server) -> None:
    server.add("a.example", *(f"8.8.{number % 3}.{number}" for number in range(200)), "99.0.0.1", "10.0.0.5")
    found = await ask(server)
    assert (found.status, len(found.addresses)) == ("unknown", 64)
    assert "10.0.0.5" in found.addresses
    assert list(found.addresses) == sorted(found.addresses)


@pytest.mark.parametrize(
    "name", ["", "a..example", "a" * 64 + ".example", "münchen.example", ".".join(["a" * 60] * 5)]
)
async def test_what_dns_cannot_carry_has_none(server: Server, name: str) -> None:
    assert await ask(server, name) == NONE


async def test_no_search_list_is_tried(server: Server) -> None:
    await ask(server)
    assert {name for name, _, _ in server.asked} == {"a.example"}


async def test_a_cancelled_question_is_cancelled(server: Server) -> None:
    server.silence("a.example")
    task = asyncio.create_task(ask(server))
    while not server.asked:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_at_an_ipv6_address_is_asked() -> None:
    server = Server()
    try:
        await server.start("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    server.add("a.example", "8.8.8.8")
    assert await ask(server) == Resolution(("8.8.8.8",), "found")
    await server.stop()


@pytest.mark.parametrize(
    "text", ["", "::1", "[::1", "[10.0.0.1]", "a:0", "a:65536", "a:dns", "https://a", "a b", "a/b"]
)
def test_a_server_of_another_shape_is_an_error_of_whoever_wrote_it(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Resolver(text)

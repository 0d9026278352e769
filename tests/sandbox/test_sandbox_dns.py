"""The sandbox's DNS server, asked in real messages: by the service's own resolver and by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from sm.resolver import Resolution, Resolver
from sm.sandbox.control import ActionError
from sm.sandbox.network.dns import NameServer
from sm.sandbox.network.names import Names


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    server = NameServer(Names({"a.example": ["192.52.193.7", "2620:4f:8000::7"]}))
    await server.start()
    yield server
    await server.stop()


async def ask(server: NameServer, name: str, timeout_s: float = 5.0) -> Resolution:
    return await Resolver(server.address, timeout_s=timeout_s).resolve(name)


async def query(
    server: NameServer, name: str, kind: str = "A", *, tcp: bool = False, payload: int | None = None
) -> dns.message.Message:
    host, _, port = server.address.partition(":")
    message = dns.message.make_query(name, kind, payload=payload)
    how = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
    return await how(message, host, port=int(port), timeout=5)


async def test_a_name_is_answered_as_the_firewall_sees_it(server: NameServer) -> None:
    assert await ask(server, "A.Example") == Resolution(("192.52.193.7", "2620:4f:8000::7"), "found")


async def test_a_name_that_moves_is_answered_so_at_once(server: NameServer) -> None:
    server._names.set("a.example", ["10.0.0.5"])
    assert await ask(server, "a.example") == Resolution(("10.0.0.5",), "found")


async def test_a_name_that_is_not_held_does_not_exist(server: NameServer) -> None:
    assert (await query(server, "b.example")).rcode() == dns.rcode.NXDOMAIN
    assert await ask(server, "b.example") == Resolution((), "none")


async def test_other_kinds_of_a_held_name_have_no_data(server: NameServer) -> None:
    answer = await query(server, "a.example", "TXT")
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


async def test_a_name_that_fails_or_hangs_is_unknown(server: NameServer) -> None:
    server._names.set("a.example", ["192.52.193.7"], "servfail")
    server._names.set("b.example", [], "hang")
    assert await ask(server, "a.example") == Resolution((), "unknown")
    assert await ask(server, "b.example", 0.2) == Resolution((), "unknown")


async def test_in_an_outage_nothing_is_known_not_even_what_is_answered_otherwise(server: NameServer) -> None:
    server.otherwise("a.example", ["10.0.0.5"])
    server._names.outage = True
    assert await ask(server, "a.example") == Resolution((), "unknown")


async def test_a_name_can_be_answered_otherwise_than_the_firewall_sees_it(server: NameServer) -> None:
    change = server.actions["resolver/dns"]
    await change({"name": "a.example", "addresses": ["169.254.169.254"]})
    assert await ask(server, "a.example") == Resolution(("169.254.169.254",), "found")
    assert server._names.lookup("a.example") == ("192.52.193.7", "2620:4f:8000::7")
    await change({"name": "a.example", "answer": "nxdomain"})
    assert await ask(server, "a.example") == Resolution((), "none")
    await change({"name": "a.example", "same": True})
    assert (await ask(server, "a.example")).addresses == ("192.52.193.7", "2620:4f:8000::7")


@pytest.mark.parametrize(
    "body",
    [{}, {"name": 7}, {"name": "a.example", "addresses": "10.0.0.5"}, {"name": "a", "addresses": ["b"]}],
)
async def test_a_change_that_is_none_is_refused(server: NameServer, body: dict[str, object]) -> None:
    with pytest.raises(ActionError):
        await server.actions["resolver/dns"](body)


async def test_a_long_answer_is_cut_off_over_udp_and_whole_over_tcp(server: NameServer) -> None:
    server._names.set("a.example", [f"192.52.193.{number}" for number in range(60)])
    short = await query(server, "a.example")
    assert (bool(short.flags & dns.flags.TC), short.answer) == (True, [])
    assert len((await query(server, "a.example", tcp=True)).answer[0]) == 60
    assert len((await query(server, "a.example", payload=4096)).answer[0]) == 60
    assert len((await ask(server, "a.example")).addresses) == 60


async def test_several_questions_go_over_one_connection(server: NameServer) -> None:
    host, _, port = server.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for name in ("a.example", "b.example"):
        wire = dns.message.make_query(name, "A").to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
    for code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        length = int.from_bytes(await reader.readexactly(2), "big")
        assert dns.message.from_wire(await reader.readexactly(length)).rcode() == code
    writer.close()


async def test_junk_is_not_answered_and_does_no_harm(server: NameServer) -> None:
    host, _, port = server.address.partition(":")
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        for junk in (
            b"",
            b"\x00",
            b"\xff" * 500,
            dns.message.make_response(dns.message.make_query("a", "A")).to_wire(),
        ):
            client.sendto(junk, (host, int(port)))
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x00\x05junk!\x00\x00")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert (await ask(server, "a.example")).status == "found"


async def test_an_update_is_not_implemented(server: NameServer) -> None:
    message = dns.message.make_query("a.example", "A")
    message.set_opcode(dns.opcode.STATUS)
    answer = server.reply(message.to_wire(), "udp")
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP


async def test_what_was_asked_can_be_seen(server: NameServer) -> None:
    await query(server, "a.example")
    await query(server, "b.example", "AAAA", tcp=True)
    assert server.state()["questions"] == [
        {"name": "a.example", "kind": "A", "by": "udp"},
        {"name": "b.example", "kind": "AAAA", "by": "tcp"},
    ]


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(server: NameServer) -> None:
    other = NameServer(Names({}))
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            await other.start(taken.getsockname()[1])
    await other.stop()

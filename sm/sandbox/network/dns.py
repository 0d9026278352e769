"""The sandbox's DNS server on loopback: the same names as the firewall's, in real messages over UDP and TCP.

    dns = NameServer(names)
    await dns.start()
    dns.address                                 # what SM_RESOLVER wants: 127.0.0.1:port

It is the whole world: a name that is not held does not exist, and nothing is asked anywhere else. `POST /resolver/dns
{"name", "addresses", "answer"}` of the control server lets it answer a name otherwise than the firewall sees it, as an
owner of names can who tells askers apart; `{"name", "same": true}` takes that back. `POST /opnsense/dns` changes both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sm.sandbox.control import Action, ActionError
from sm.sandbox.network.listener import Listener
from sm.sandbox.network.names import Answer, BadNameError, Names

HOST = "127.0.0.1"
TTL_S = 60
MAX_QUESTIONS = 1000
IDLE_S = 10.0
_UDP_BYTES = 512
_TCP_BYTES = 65535
_TRIES = 20
_KINDS = {dns.rdatatype.A: "A", dns.rdatatype.AAAA: "AAAA"}


class NameServer:
    """Answers A and AAAA of the names held; every other kind of a held name has no data."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._otherwise = Names({})
        self._questions: deque[dict[str, str]] = deque(maxlen=MAX_QUESTIONS)
        self._asked = 0
        self._listener = Listener(self._stream)
        self._udp: asyncio.DatagramTransport | None = None
        self.address = ""
        self.actions: dict[str, Action] = {"resolver/dns": self._change}

    async def start(self, port: int = 0) -> None:
        """Listen on loopback, on one port of both protocols; 0 takes a free one. Raises `OSError` when it is taken."""
        for tries_left in reversed(range(1 if port else _TRIES)):
            await self._listener.start(port)
            try:
                self._udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(HOST, self._listener.port)
                )
            except OSError:
                await self._listener.stop()
                if not tries_left:
                    raise
            else:
                break
        self.address = f"{HOST}:{self._listener.port}"

    async def stop(self) -> None:
        """Stop listening, and end every connection."""
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        await self._listener.stop()

    def state(self) -> dict[str, object]:
        """What was asked, newest last, and which names are answered otherwise than the firewall sees them."""
        return {
            "address": self.address,
            "asked": self._asked,
            "questions": list(self._questions),
            "otherwise": self._otherwise.table(),
        }

    def otherwise(self, name: str, addresses: list[str] | None, answer: Answer = "ok") -> None:
        """Answer a name so, whatever the firewall sees; None for the addresses: as the firewall sees it.

        Raises `BadNameError`.
        """
        self._otherwise.set(name, addresses or [], answer if addresses is not None else "ok")

    def reply(self, wire: bytes, way: str) -> bytes | None:
        """The answer to one message that came by `udp` or `tcp`; None is silence."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response.to_wire()
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        self._asked += 1
        self._questions.append({"name": name, "kind": dns.rdatatype.to_text(asked.rdtype), "by": way})
        names = self._otherwise if name in self._otherwise and not self._names.outage else self._names
        match names.answer(name):
            case "hang":
                return None
            case "servfail":
                response.set_rcode(dns.rcode.SERVFAIL)
            case "nxdomain":
                response.set_rcode(dns.rcode.NXDOMAIN)
            case "ok":
                kind = _KINDS.get(asked.rdtype)
                found = [one for one in names.lookup(name) if kind == ("AAAA" if ":" in one else "A")]
                if found and asked.rdclass == dns.rdataclass.IN:
                    response.answer.append(
                        dns.rrset.from_text_list(asked.name, TTL_S, asked.rdclass, asked.rdtype, found)
                    )
        return _fitting(response, _TCP_BYTES if way == "tcp" else max(_UDP_BYTES, query.payload))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(IDLE_S):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    answer = self.reply(await reader.readexactly(length), "tcp")
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()

    async def _change(self, body: dict[str, object]) -> object:
        """`{"name": …, "addresses": […], "answer": "ok|nxdomain|servfail|hang"}` or `{"name": …, "same": true}`."""
        name, given = body.get("name"), body.get("addresses", [])
        if not isinstance(name, str) or not isinstance(given, list):
            raise ActionError("name is a text, addresses a list of texts.")
        addresses = [str(one) for one in cast("list[object]", given)]
        try:
            answer = cast("Answer", str(body.get("answer", "ok")))
            self.otherwise(name, None if body.get("same") else addresses, answer)
        except BadNameError as error:
            raise ActionError(str(error)) from error
        return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.reply(data, "udp")
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def _fitting(response: dns.message.Message, most_bytes: int) -> bytes:
    """The message, or without its answers and marked as cut off, when it is too long for the way it goes."""
    try:
        return response.to_wire(max_size=most_bytes)
    except dns.exception.TooBig:
        response.answer.clear()
        response.flags |= dns.flags.TC
        return response.to_wire(max_size=most_bytes)

"""A DNS server on loopback with answers of the test's own: real messages over UDP and TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Reply = Callable[[dns.message.Message], bytes | None]


class Server:
    """`records` by (name, kind): texts of the records. `replies` by (name, kind) answer in a way of their own."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.replies: dict[tuple[str, str], Reply] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.address = ""

    async def start(self, host: str = "127.0.0.1") -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(host, 0))
        port = self._udp.get_extra_info("sockname")[1]
        self._tcp = await asyncio.start_server(self._stream, host, port)
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def stop(self) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def add(self, name: str, *texts: str, kind: str = "A") -> None:
        self.records[(name, kind)] = list(texts)

    def fail(self, name: str, code: dns.rcode.Rcode, *kinds: str) -> None:
        for kind in kinds or ("A", "AAAA"):
            self.replies[(name, kind)] = lambda question: self.bare(question, code)

    def silence(self, name: str, *kinds: str) -> None:
        for kind in kinds or ("A", "AAAA"):
            self.replies[(name, kind)] = lambda _question: None

    @staticmethod
    def bare(question: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
        response = dns.message.make_response(question)
        response.set_rcode(code)
        return response.to_wire()

    def answer(self, wire: bytes, way: str) -> bytes | None:
        question = dns.message.from_wire(wire)
        name = question.question[0].name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append((name, kind, way))
        if reply := self.replies.get((name, kind)):
            return reply(question)
        response = dns.message.make_response(question)
        response.flags |= dns.flags.RA
        if not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        for found in (kind, "CNAME"):
            if texts := self.records.get((name, found)):
                response.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", found, *texts))
                break
        full = response.to_wire(max_size=65535)
        if way == "udp" and len(full) > 512:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()
        return full

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            if answer := self.answer(wire, "tcp"):
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if answer := self._server.answer(data, "udp"):
            self._transport.sendto(answer, addr)

"""How the peers' certificates are checked."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from sm.core.outcome import Refused
from sm.opnsense.client import OPNsenseClient
from sm.tls import pin, trust


class Server:
    """An https server whose certificate an authority of its own has signed."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        leaf = authority.issue_cert("127.0.0.1")
        self.sha256 = hashlib.sha256(
            ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
        ).digest()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(self.context)
        self.requests = 0
        self.url = ""

    async def answer(self, _request: web.Request) -> web.Response:
        self.requests += 1
        return web.json_response([])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server.context).start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def refusal(server: Server, how: ssl.SSLContext | aiohttp.Fingerprint | None) -> Refused:
    """What a read comes to; an alias that is missing means that the server was spoken to."""
    async with aiohttp.ClientSession() as http:
        client = OPNsenseClient(http, server.url, "key", "secret", alias="a", ssl=how)
        with pytest.raises(Refused) as caught:
            await client.read()
    return caught.value


async def test_an_authority_of_ones_own_is_trusted_when_its_file_is_named(server: Server) -> None:
    assert (await refusal(server, trust(server.ca_file))).code == "alias_missing"


@pytest.mark.parametrize("how", [None, "system"])
async def test_an_unknown_authority_is_refused_before_anything_is_sent(
    server: Server, how: str | None
) -> None:
    refused = await refusal(server, None if how is None else trust())
    assert refused.code == "certificate"
    assert "SM_CA_FILE" in str(refused)
    assert server.requests == 0


async def test_a_pinned_certificate_is_accepted_whoever_signed_it(server: Server) -> None:
    assert (await refusal(server, pin(server.sha256))).code == "alias_missing"


async def test_another_certificate_than_the_pinned_one_is_refused_with_its_fingerprint(
    server: Server,
) -> None:
    refused = await refusal(server, pin(b"\0" * 32))
    assert refused.code == "certificate"
    assert server.sha256.hex(":").upper() in str(refused)
    assert server.requests == 0


async def test_without_a_pin_the_authorities_count(server: Server) -> None:
    assert isinstance(pin(None, server.ca_file), ssl.SSLContext)

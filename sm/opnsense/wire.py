"""One request to OPNsense: bounded, without redirects, every way to fail told as `Unreachable` or `Refused`.

The rules are those of OPNsense's controllers (27.1, observed): nearly every failure answers 200, so what the
body says is judged by the caller; here only the status, the type and the size are.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl as tls
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
from attrs import field, frozen
from yarl import URL

from sm.core.outcome import PeerError, Refused, Unreachable

BODY_BYTES = 4 * 1024 * 1024
REASON_CHARACTERS = 300
CONNECT_TIMEOUT_S = 20.0

# Status → (code, what it means and what to do). All of these are a definite no.
REFUSALS: Mapping[int, tuple[str, str]] = {
    401: (
        "unauthorized",
        "OPNsense does not accept the API key (401): check SM_OPNSENSE_KEY, SM_OPNSENSE_SECRET and the API user.",
    ),
    403: (
        "forbidden",
        "OPNsense does not allow this to the API user (403): give it the privilege `Firewall: Alias: Edit`.",
    ),
    404: (
        "no_endpoint",
        "OPNsense knows no such address (404): check that SM_OPNSENSE_URL is the firewall's own, without a path.",
    ),
}


def shortened(text: str) -> str:
    """A peer's words on one line, bounded."""
    line = " ".join(text.split())
    return line if len(line) <= REASON_CHARACTERS else line[: REASON_CHARACTERS - 1] + "…"


@frozen
class Wire:
    """The HTTP side of the client. `url` has no slash at its end; key and secret are in no repr and no error."""

    http: aiohttp.ClientSession = field(repr=False)
    url: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    ssl: tls.SSLContext | aiohttp.Fingerprint | bool = field(default=True, repr=False)

    async def get(self, path: str, *, timeout_s: float) -> Any:
        """The JSON of a GET, which carries no content type: with `application/json` and no body it would be 400."""
        return await self._ask("GET", path, None, timeout_s)

    async def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float) -> Any:
        """The JSON of a POST; the body is never empty, `{}` at least."""
        return await self._ask("POST", path, json.dumps(body).encode(), timeout_s)

    async def _ask(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Any:
        failure: PeerError
        try:
            async with self.http.request(
                method,
                URL(f"{self.url}/api/firewall/{path}", encoded=True),
                data=body,
                headers={"Authorization": f"Basic {self._basic()}", "Accept": "application/json"}
                | ({} if body is None else {"Content-Type": "application/json"}),
                skip_auto_headers=("Content-Type",) if body is None else None,
                allow_redirects=False,
                ssl=self.ssl,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                content = await _bounded(response)
                return self._judged(response, content)
        except PeerError:
            raise
        except TimeoutError:
            failure = Unreachable(
                f"OPNsense did not answer within {timeout_s:g} s, so it is unknown what it did."
            )
        except aiohttp.ServerFingerprintMismatch as error:
            failure = Refused(
                "certificate",
                f"OPNsense showed another certificate than the one that is pinned: it has {error.got.hex(':').upper()}. "
                "If that is right, put it into SM_OPNSENSE_FINGERPRINT.",
            )
        except aiohttp.ClientSSLError as error:
            failure = Refused("certificate", self._certificate_problem(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = Unreachable(
                f"OPNsense cannot be reached: {self.safe(str(error) or type(error).__name__)}"
            )
        # Raised out here, so that aiohttp's exception, which may hold the request's headers, isn't chained to it.
        raise failure

    def _basic(self) -> str:
        return base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()

    def safe(self, text: str) -> str:
        """A peer's words, bounded and without the key and the secret, should it echo them."""
        for value in (self._basic(), self.secret, self.key):
            text = text.replace(value, "••••")
        return shortened(text)

    def _certificate_problem(self, error: Exception) -> str:
        return (
            f"OPNsense's certificate is not trusted ({self.safe(str(error))}): set SM_CA_FILE to the authority that "
            "signed it, or SM_OPNSENSE_FINGERPRINT to its SHA-256."
        )

    def _judged(self, response: aiohttp.ClientResponse, content: bytes) -> Any:
        status = response.status
        if status in REFUSALS:
            raise Refused(*REFUSALS[status])
        if 300 <= status < 400:
            raise Refused(
                "unauthorized",
                f"OPNsense sent us to its log-in page ({status}), as it does when no key arrives: check that SM_OPNSENSE_URL "
                "is the firewall's final https address, and that no proxy takes the Authorization header away.",
            )
        try:
            # Deep nesting ends in RecursionError, other rubbish in ValueError.
            answer: Any = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        reason = self._reason(answer)
        if status == 500 and "user-config-readonly" in reason:
            raise Refused(
                "forbidden",
                "OPNsense forbids the API user every change: take `user-config-readonly` from it.",
            )
        if status >= 500 or status == 429:
            retry_after = response.headers.get("Retry-After", "")
            raise Unreachable(
                f"OPNsense has trouble of its own ({status}{reason}).",
                retry_after_s=float(min(int(retry_after[:6]), 3600))
                if retry_after.isascii() and retry_after.isdigit()
                else None,
            )
        if status != 200:
            raise Refused("rejected", f"OPNsense does not take this request ({status}{reason}).")
        if answer is None:
            raise Unreachable(
                "OPNsense's answer is not JSON: is SM_OPNSENSE_URL the firewall, or does something else answer there?"
            )
        return answer

    def _reason(self, answer: Any) -> str:
        if not isinstance(answer, dict):
            return ""
        told = cast("dict[str, Any]", answer)
        text = told.get("errorMessage") or told.get("message")
        return f": {self.safe(text)}" if isinstance(text, str) else ""


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        content += chunk
        if len(content) > BODY_BYTES:
            response.close()
            raise Unreachable(
                f"OPNsense's answer is longer than {BODY_BYTES} bytes; it was not read to its end."
            )
    return bytes(content)


async def system_resolver(domain: str) -> frozenset[str]:
    """The addresses that this machine's resolver has for the name; empty when it has none or does not answer."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(domain, None)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(entry[4][0]) for entry in found)

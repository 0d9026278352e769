"""One request to Mattermost's REST API: time limit, size limit, rate limit, and what each answer means.

Every failure comes out as one of two exceptions. `Refused` is a definite no of Mattermost itself; everything
else that is not the promised answer is `Unreachable`: it may have happened. They are raised outside `except` blocks,
because aiohttp's own exceptions carry the request's headers, and so the token.
"""

from __future__ import annotations

import json
import math
import re
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp
from attrs import field, frozen
from yarl import URL

from sm.core.outcome import Refused, Unreachable
from sm.mattermost.models import MalformedError, as_object, is_id, parse_json, wellformed

RATE_LIMIT_ATTEMPTS = 5
MAX_RATE_LIMIT_WAIT_S = 30.0
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REASON = 300

#: An escaped NUL; the other branch eats escaped backslashes, so that what follows one is not taken for an escape.
_NUL = re.compile(r"\\\\|\\u0000")

#: Error ids that deserve a word of their own; any other 4xx takes the word of its status.
_CODES = {
    "model.post.is_valid.msg.app_error": "too_long",
    "model.post.is_valid.message_length.app_error": "too_long",
    "model.post.is_valid.props.app_error": "too_long",
    "api.post.create_post.can_not_post_to_deleted.error": "channel_archived",
    "api.post.patch_post.can_not_update_post_in_deleted.error": "channel_archived",
    "api.post.create_post.root_id.app_error": "root_missing",
    "api.post.create_post.channel_root_id.app_error": "root_missing",
    "api.file.attachments.disabled.app_error": "files_disabled",  # 403, older servers 501
}
_STATUS_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "too_long"}


@frozen
class Answer:
    """A reply, read in full and bounded."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@frozen
class Upload:
    """A file for a channel, as a multipart form has it.

    `name` is plain ASCII: Mattermost 5.37 kept the escapes that any other takes in a form's header (`r%C3%A9port.txt`).
    """

    channel_id: str
    name: str
    content: bytes = field(repr=False)

    def form(self) -> aiohttp.FormData:
        """A form can be sent only once, so one for each attempt. The server wants the channel before the file."""
        form = aiohttp.FormData()
        form.add_field("channel_id", self.channel_id)
        form.add_field("files", self.content, filename=self.name, content_type="application/octet-stream")
        return form


class Transport:
    """Sends requests to one server with one bot's token. Holds no state of any request."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str,
        *,
        ssl: ssl_module.SSLContext | None,
        sleep: Callable[[float], Awaitable[None]],
        timeout_s: float,
    ) -> None:
        self._http = http
        self._api = api_url(url)
        self._headers = bearer(token)
        self._ssl = ssl if ssl is not None else True
        self._sleep = sleep
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(10.0, timeout_s))

    async def request(
        self,
        method: str,
        *segments: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | Sequence[str] | Upload | None = None,
    ) -> Any:
        """The JSON of a 2xx answer to `method /api/v4/<segments>`.

        429 is waited for, a few times and never long. Raises Refused or Unreachable.
        """
        what = f"{method} {'/'.join(segments)}"
        for attempt in range(1, RATE_LIMIT_ATTEMPTS + 1):
            answer = await self._send(method, segments, query, body, what)
            if answer.status != 429:
                return _judge(answer, what)
            wait_s = rate_limit_wait_s(answer.headers)
            if attempt == RATE_LIMIT_ATTEMPTS or wait_s > MAX_RATE_LIMIT_WAIT_S:
                raise Unreachable(
                    f"Mattermost limits the rate of requests ({what}); it asks to wait {wait_s:g} s.",
                    retry_after_s=wait_s,
                )
            await self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def _send(
        self,
        method: str,
        segments: tuple[str, ...],
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | Sequence[str] | Upload | None,
        what: str,
    ) -> Answer:
        headers = dict(self._headers)
        data: bytes | aiohttp.FormData | None = None
        if isinstance(body, Upload):
            data = body.form()
        elif body is not None:
            data = encode(body)
            headers["Content-Type"] = "application/json"
        url = self._api.joinpath(*segments)
        try:
            async with self._http.request(
                method,
                url.with_query(query) if query else url,
                data=data,
                headers=headers,
                ssl=self._ssl,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, dict(response.headers), await _read_bounded(response))
        except (aiohttp.ClientError, TimeoutError, OSError, _TooBigError) as error:
            reason = describe(error)
        raise Unreachable(f"Mattermost at {self._api.origin()} did not answer {what}: {reason}.")


class _TooBigError(Exception):
    """A body over the limit."""


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(64 * 1024):
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            response.close()
            raise _TooBigError
        chunks.append(chunk)
    return b"".join(chunks)


def _judge(answer: Answer, what: str) -> Any:
    """The JSON of a success, else the exception that the answer means."""
    status = answer.status
    problem: str
    if 200 <= status < 300:
        try:
            return parse_json(answer.body)
        except MalformedError as error:
            problem = f"answered {what} with a body that is {error}"
    elif 300 <= status < 400:
        problem = f"redirects {what}{_target(answer.headers)}: SM_MATTERMOST_URL must name the server itself"
    else:
        error_id, reason = _error_of(answer.body)
        definite = 400 <= status < 500 and status != 408 and error_id
        if status == 413 or definite or error_id in _CODES:
            code = _CODES.get(error_id) or _STATUS_CODES.get(status, "bad_request")
            raise Refused(
                code, f"Mattermost refused {what}: {reason or 'the request is too large'} ({status})."
            )
        origin = "" if error_id else ", and not in Mattermost's words: a proxy may stand in between"
        problem = f"answered {what} with status {status}{f' ({error_id})' if error_id else ''}{origin}"
    raise Unreachable(f"Mattermost {problem}.", retry_after_s=_retry_after_s(answer.headers))


def _error_of(body: bytes) -> tuple[str, str]:
    """The `id` and `message` of Mattermost's error shape; two empty texts for anything else."""
    try:
        error = as_object(parse_json(body))
    except MalformedError:
        return "", ""
    error_id, message = error.get("id"), error.get("message")
    if not isinstance(error_id, str) or not isinstance(message, str) or "status_code" not in error:
        return "", ""
    return printable(error_id, 120), printable(message, MAX_REASON).rstrip(". ")


def _target(headers: Mapping[str, str]) -> str:
    """Where a redirect leads, without path and query: they may hold what no log should."""
    try:
        return f" to {URL(headers.get('Location', '')).origin()}"
    except ValueError:
        return ""


def api_url(url: str) -> URL:
    """The root of the API below the server's URL (which may lie under a path)."""
    try:
        base = URL(url)
    except ValueError:
        base = URL()
    if (
        base.scheme not in {"http", "https"}
        or not base.host
        or base.user
        or base.password
        or base.query_string
    ):
        raise ValueError("The Mattermost URL must be http(s)://host[:port][/path], without user or query.")
    return base.with_path(base.path.rstrip("/") + "/").joinpath("api", "v4")


def bearer(token: str) -> dict[str, str]:
    """The header that holds the token; the one place where it goes."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("The Mattermost token must be one word of printable ASCII characters.")
    return {"Authorization": f"Bearer {token}"}


def checked_id(value: str, what: str) -> str:
    """An identifier that may stand in a path (`me`, `..` and the like may not); Refused otherwise."""
    if not is_id(value):
        raise Refused("bad_id", f"Not a Mattermost {what} id: {printable(value, 40)!r}.")
    return value


def describe(error: BaseException) -> str:
    """A failed exchange in words that hold no header."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, _TooBigError):
        return f"the answer is larger than {MAX_BODY_BYTES} bytes"
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerDisconnectedError):
        return printable(str(error), MAX_REASON)
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}, status {error.status}"
    return type(error).__name__


def encode(body: Mapping[str, Any] | Sequence[str]) -> bytes:
    """JSON that Mattermost's database can hold: valid UTF-8, and no NUL in any text (it would be a 500 each time)."""
    text = wellformed(json.dumps(body, ensure_ascii=False, allow_nan=False))
    return _NUL.sub(lambda found: found.group() if found.group() == r"\\" else "\ufffd", text).encode()


def printable(text: str, limit: int) -> str:
    """A peer's text for a log or a sentence: one line, bounded."""
    line = "".join(c if c.isprintable() else " " for c in text[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def rate_limit_wait_s(headers: Mapping[str, str]) -> float:
    """How long a 429 asks to wait: `Retry-After`, else `X-RateLimit-Reset` (both seconds), else 1 s."""
    wait_s = _retry_after_s(headers)
    if wait_s is None:
        wait_s = _seconds(headers, "x-ratelimit-reset")
    return 1.0 if wait_s is None else wait_s


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    return _seconds(headers, "retry-after")


def _seconds(headers: Mapping[str, str], name: str) -> float | None:
    found = next((value for key, value in headers.items() if key.lower() == name), "")
    try:
        seconds = float(found)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None

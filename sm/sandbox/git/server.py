"""A git host as GitHub is one: `git http-backend` behind loopback HTTP, with a token as the password.

    server = GitServer(folder, faults, token="ghp_…")       # folder/acme/webapp.git is http://…/acme/webapp
    await server.start()

Anybody may read what is not in `private`; only the token may push, and with `read_only` not even it. As at GitHub, a
repository that is private or not there answers 401 to somebody unknown and 404 to the token of somebody else, and a wrong
token is refused also for what is public.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from sm.sandbox.faults import Faults

PEER = "git"
MAX_LOGGED = 1000
MAX_HEAD_BYTES = 1 << 16
CUT_AFTER_BYTES = 10_000
_CHUNK_BYTES = 1 << 16
_PAGE = "<!doctype html><title>Session Manager sandbox</title>\n"
_CALL = re.compile(
    r"/(?P<repository>[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._][A-Za-z0-9._-]*?)(?:\.git)?/"
    r"(?P<what>info/refs|git-upload-pack|git-receive-pack)"
)
_NO = {
    401: ("unauthorized", "Bad credentials"),
    403: ("forbidden", "Permission denied"),
    404: ("missing", "Not Found"),
}


def declare(faults: Faults) -> None:
    """Make the faults known. Each matches `repository`, `what` (the path's end) and `service`."""
    for status, (name, _) in _NO.items():
        faults.declare(PEER, name, f"answers {status}, whoever asks")
    faults.declare(PEER, "hang", "takes the request and never answers")
    faults.declare(PEER, "cut", f"closes the connection after {CUT_AFTER_BYTES} bytes of the answer's body")


class GitServer:
    """Serves the bare repositories below a folder. `token`, `private`, `read_only` and `cut_after` may change any time."""

    def __init__(
        self, root: Path, faults: Faults, *, token: str = "", private: frozenset[str] = frozenset()
    ) -> None:
        self.root = root
        self.token = token
        self.private = private
        self.read_only = False
        self.cut_after = CUT_AFTER_BYTES
        self.port = 0
        self.url = ""
        self.requests: list[dict[str, object]] = []
        self._faults = faults
        self._runner: web.AppRunner | None = None
        declare(faults)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` when the port is taken."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port).start()
        self.port = int(runner.addresses[0][1])
        self.url = f"http://{host}:{self.port}"

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def state(self) -> dict[str, object]:
        """What was asked, for whoever compares from outside. No token is in it."""
        return {"requests": list(self.requests)}

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = _CALL.fullmatch(request.path)
        if call is None:
            if request.path == "/":
                return web.Response(text=_PAGE, content_type="text/html")
            return web.Response(status=404, text="Not Found")
        repository, what = call["repository"], call["what"]
        service = request.query.get("service", "") if what == "info/refs" else what
        context = {"repository": repository, "what": what, "service": service}
        user = self._user(request)
        status = self._verdict(repository, service, user)
        for number, (name, _) in _NO.items():
            if self._faults.hit(PEER, name, **context):
                status = number
        if len(self.requests) < MAX_LOGGED:
            self.requests.append({**context, "user": user, "status": status})
        if self._faults.hit(PEER, "hang", **context):
            await asyncio.Event().wait()
        if status != 200:
            return _refusal(status)
        cut = self.cut_after if self._faults.hit(PEER, "cut", **context) else None
        return await self._serve(request, f"/{repository}.git/{what}", user, cut)

    def _user(self, request: web.Request) -> str | None:
        """The name that comes with the token, empty for nobody, None for a wrong one."""
        word, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if word.lower() != "basic":
            return ""
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return name if self.token and hmac.compare_digest(password.encode(), self.token.encode()) else None

    def _verdict(self, repository: str, service: str, user: str | None) -> int:
        there = (self.root / f"{repository}.git" / "HEAD").is_file()
        if user is None:
            return 401
        if not there or repository in self.private:
            return (200 if there else 404) if user else 401
        if service == "git-receive-pack":
            return (403 if self.read_only else 200) if user else 401
        return 200

    async def _serve(
        self, request: web.Request, path: str, user: str | None, cut: int | None
    ) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=self._environment(request, path, user), limit=MAX_HEAD_BYTES,
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        feeding = asyncio.create_task(_feed(request, process.stdin))
        try:
            response = await _head(process.stdout)
            await response.prepare(request)
            async for chunk in _body(process.stdout):
                if cut is not None and len(chunk) >= cut:
                    await response.write(chunk[:cut])
                    break
                cut = None if cut is None else cut - len(chunk)
                await response.write(chunk)
            else:
                await response.write_eof()
                return response
            if request.transport is not None:
                request.transport.close()
            return response
        finally:
            feeding.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # the program, and what it has started
            await process.wait()
            await asyncio.gather(feeding, return_exceptions=True)

    def _environment(self, request: web.Request, path: str, user: str | None) -> dict[str, str]:
        """RFC 3875, and what `git http-backend` reads beside it."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        for header in ("Content-Length", "Content-Encoding", "Git-Protocol"):
            if header in request.headers:
                name = header.upper().replace("-", "_")
                environment[name if name == "CONTENT_LENGTH" else f"HTTP_{name}"] = request.headers[header]
        if user:
            environment["REMOTE_USER"] = user
        return environment


def _refusal(status: int) -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="GitHub"'} if status == 401 else {}
    words = {404: "Repository not found.", 401: "Invalid username or token.", 403: "Permission denied."}[
        status
    ]
    return web.Response(status=status, text=words + "\n", headers=headers)


async def _feed(request: web.Request, target: asyncio.StreamWriter | None) -> None:
    if target is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
    target.close()


async def _head(source: asyncio.StreamReader | None) -> web.StreamResponse:
    """The answer's head, as the program gives it (RFC 3875, section 6)."""
    status, headers = 200, dict[str, str]()
    head = b"" if source is None else await source.readuntil(b"\r\n\r\n")
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        elif name and name.lower() != "content-length":
            headers[name] = value.strip()
    return web.StreamResponse(status=status, headers=headers)


async def _body(source: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    while source is not None and (chunk := await source.read(_CHUNK_BYTES)):
        yield chunk

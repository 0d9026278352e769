"""The sandbox's package index: pytest 8.0.0 and nothing else, spoken as PEP 503, over plain HTTP behind the gate.

The wheel is made in memory: pure Python, no dependencies, a `pytest` that says its version and finds no tests.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROJECT = "pytest"
VERSION = "8.0.0"
HOSTS = ("pypi.org", "files.pythonhosted.org")
MAX_LOGGED = 1000

_MODULE = f'''"""A stand-in for pytest, installed from the sandbox of Session Manager."""

__version__ = "{VERSION}"


def console_main():
    """Say the version, or that nothing was collected (exit status 5, as pytest has it)."""
    import sys

    if "--version" in sys.argv or "-V" in sys.argv:
        print("pytest " + __version__)
        return 0
    print("collected 0 items")
    return 5
'''
_MAIN = """import sys

from pytest import console_main

sys.exit(console_main())
"""
_METADATA = f"""Metadata-Version: 2.1
Name: {PROJECT}
Version: {VERSION}
Summary: A stand-in for pytest, from the sandbox of Session Manager
Requires-Python: >=3.8
License: MIT
"""
_WHEEL = """Wheel-Version: 1.0
Generator: session-manager-sandbox
Root-Is-Purelib: true
Tag: py3-none-any
"""
_ENTRY_POINTS = "[console_scripts]\npytest = pytest:console_main\n"


def build_wheel() -> tuple[str, bytes]:
    """File name and bytes of the wheel (PEP 427, PEP 376); the same bytes each time."""
    info = f"{PROJECT}-{VERSION}.dist-info"
    files = {
        f"{PROJECT}/__init__.py": _MODULE,
        f"{PROJECT}/__main__.py": _MAIN,
        f"{info}/METADATA": _METADATA,
        f"{info}/WHEEL": _WHEEL,
        f"{info}/entry_points.txt": _ENTRY_POINTS,
        f"{info}/top_level.txt": f"{PROJECT}\n",
    }
    record = [f"{path},sha256={_digest(text.encode())},{len(text.encode())}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path, date_time=(2024, 1, 27, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, text)
    return f"{PROJECT}-{VERSION}-py3-none-any.whl", buffer.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class PackageIndex:
    """Serves the index on loopback; `Gate.serve(name, index.port)` for each of `HOSTS` puts it behind the gate."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests: list[dict[str, object]] = []
        self._file, self._wheel = build_wheel()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on 127.0.0.1. Raises `OSError` when the port is taken."""
        app = web.Application(middlewares=[self._log])
        app.add_routes(
            [
                web.get("/simple/", self._projects),
                web.get("/simple/{project}", self._with_slash),
                web.get("/simple/{project}/", self._files),
                web.get("/packages/{file}", self._package),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def state(self) -> dict[str, object]:
        """What was asked of the index, for whoever compares from outside."""
        return {"requests": list(self.requests)}

    @web.middleware
    async def _log(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        status = 500
        try:
            response = await handler(request)
            status = response.status
        except web.HTTPException as error:
            status = error.status
            raise
        else:
            return response
        finally:
            if len(self.requests) < MAX_LOGGED:
                self.requests.append(
                    {"host": request.host[:253], "path": request.path[:500], "status": status}
                )

    async def _projects(self, _request: web.Request) -> web.Response:
        return _page(f'<a href="/simple/{PROJECT}/">{PROJECT}</a>')

    async def _with_slash(self, request: web.Request) -> web.Response:
        raise web.HTTPMovedPermanently(request.path + "/")

    async def _files(self, request: web.Request) -> web.Response:
        name = re.sub(r"[-_.]+", "-", request.match_info["project"]).lower()
        if name != PROJECT:
            raise web.HTTPNotFound(text="404 Not Found")
        if request.match_info["project"] != name:
            raise web.HTTPMovedPermanently(f"/simple/{name}/")
        digest = hashlib.sha256(self._wheel).hexdigest()
        link = f"/packages/{self._file}#sha256={digest}"
        return _page(f'<a href="{link}" data-requires-python="&gt;=3.8">{self._file}</a>')

    async def _package(self, request: web.Request) -> web.Response:
        if request.match_info["file"] != self._file:
            raise web.HTTPNotFound(text="404 Not Found")
        return web.Response(body=self._wheel, content_type="application/octet-stream")


def _page(body: str) -> web.Response:
    text = (
        '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0">'
        f"<title>Simple index</title></head>\n<body>\n{body}\n</body></html>\n"
    )
    return web.Response(text=text, content_type="text/html")

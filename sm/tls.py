"""How the service checks the certificates of the peers it speaks to."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp


def trust(ca_file: Path | None = None) -> ssl.SSLContext:
    """A client context with the system's authorities and, beside them, those in `ca_file` (PEM)."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def pin(sha256: bytes | None, ca_file: Path | None = None) -> ssl.SSLContext | aiohttp.Fingerprint:
    """What aiohttp takes as `ssl`: exactly the certificate of this SHA-256 (32 bytes), else `trust`.

    With a fingerprint neither name nor signer count; aiohttp compares it before anything is sent.
    """
    return aiohttp.Fingerprint(sha256) if sha256 is not None else trust(ca_file)

"""The sandbox's own certificate authority: every https that its container sees is certified by it."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class SandboxCA:
    """One authority, made anew for each sandbox; its certificate lies in `pem_file`, its key nowhere on disk."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(organization_name="Session Manager sandbox")
        folder.mkdir(parents=True, exist_ok=True)
        self.pem_file = folder / "sandbox-ca.pem"
        self.pem_file.write_bytes(self._ca.cert_pem.bytes())
        self.pem_file.chmod(0o644)

    def server_context(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names or addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        leaf = self._ca.issue_cert(*names)
        with leaf.private_key_and_cert_chain_pem.tempfile() as path:
            context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.pem_file))
        return context

"""Which host keys are trusted, and what is said about one that is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncssh
from attrs import define, field

from sm.core.outcome import Refused
from sm.vm.model import HostKey, VmSettings

KEY_FAMILIES: Final = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-256", "rsa-sha2-512"),
)
"""Asked for one after another when only a fingerprint is pinned, which does not tell its key's type."""

OVERRIDE: Final = "SM_VM_HOST_KEY"


def described(key: asyncssh.SSHKey) -> HostKey:
    """The key line without a comment, and its SHA-256 fingerprint."""
    line = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
    return HostKey(line, key.get_fingerprint("sha256"))


@define
class Trust:
    """The keys and fingerprints that the VM may show; `seen` is the last one that it did."""

    host: str
    keys: list[asyncssh.SSHKey] = field(factory=list[asyncssh.SSHKey])
    fingerprints: list[str] = field(factory=list[str])
    known_hosts: asyncssh.SSHKnownHosts | None = None
    accept: Callable[[HostKey], bool] | None = None
    seen: HostKey | None = None

    @classmethod
    def of(cls, settings: VmSettings, accept: Callable[[HostKey], bool] | None) -> Trust:
        """Read the settings. Raises Refused when a pinned key or the known-hosts file cannot be read."""
        trust = cls(host=settings.host, accept=accept)
        for pinned in settings.pinned_host_keys:
            trust.pin(pinned)
        if settings.known_hosts_path:
            try:
                trust.known_hosts = asyncssh.read_known_hosts(settings.known_hosts_path)
            except (OSError, ValueError, asyncssh.KeyImportError) as error:
                raise Refused(
                    "known_hosts_unreadable", f"SM_VM_KNOWN_HOSTS names a file that cannot be read: {error}"
                ) from error
        return trust

    def pin(self, text: str) -> None:
        """Trust a public key line or a fingerprint from now on. Raises Refused when it is neither."""
        text = text.strip()
        if text.startswith("SHA256:"):
            self.fingerprints.append(text.rstrip("="))
            return
        try:
            self.keys.append(asyncssh.import_public_key(text))
        except asyncssh.KeyImportError as error:
            raise Refused(
                "host_key_unreadable",
                f"{OVERRIDE} holds neither a public key line (ssh-ed25519 AAAA…) nor a fingerprint (SHA256:…).",
            ) from error

    @property
    def anything(self) -> bool:
        """Whether some key is known beforehand, so that any other is a changed one."""
        return bool(self.keys or self.fingerprints or self.known_hosts)

    def matching(self, host: str, addr: str, port: int | None) -> Sequence[Any]:
        """For asyncssh: (trusted keys, CA keys, revoked keys) of this host; its own algorithms follow from them."""
        if self.known_hosts is None:
            return ([*self.keys], [], [])
        trusted, authorities, revoked, *_ = self.known_hosts.match(host, addr, port)
        return ([*self.keys, *trusted], [*authorities], [*revoked])

    def validate(self, key: asyncssh.SSHKey) -> bool:
        """Asked by asyncssh about a key that is not among the trusted ones."""
        self.seen = described(key)
        if self.seen.fingerprint.rstrip("=") in self.fingerprints:
            return True
        return not self.anything and self.accept is not None and self.accept(self.seen)

    def refusal(self) -> Refused:
        """What is said about the key that was seen and not trusted."""
        shown = self.seen.fingerprint if self.seen else "none that could be read"
        if not self.anything:
            return Refused(
                "host_key_unknown",
                f"The host key of {self.host} ({shown}) is not known; set {OVERRIDE} to it after comparing it on the VM: "
                "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
            )
        expected = [described(key).fingerprint for key in self.keys] + self.fingerprints
        known = ", ".join(expected) or "the keys of SM_VM_KNOWN_HOSTS"
        return Refused(
            "host_key_changed",
            f"{self.host} shows the host key {shown}, expected was {known}. Nothing was sent to it. "
            f"If the VM was really given a new key, set {OVERRIDE} to it.",
        )

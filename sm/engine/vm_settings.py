"""The VM's part of the settings, as its client takes it."""

from __future__ import annotations

from sm.settings import Settings
from sm.vm import VmSettings


def vm_settings(settings: Settings) -> VmSettings:
    """Where the VM is, whom we take it for, and what it has. Raises `SettingsError` for a key that cannot be read."""
    return VmSettings(
        host=settings.vm_host.host,
        port=settings.vm_host.port,
        user=settings.vm_user,
        private_key=settings.ssh_key_text(),
        pinned_host_keys=tuple((settings.vm_host_key or "").splitlines()),
        known_hosts_path=str(settings.vm_known_hosts) if settings.vm_known_hosts else None,
        repos_base=settings.repos_base_path,
        worktrees=settings.worktrees_path,
        sessions=settings.sessions_path,
        runtime="docker" if settings.container_runtime == "docker" else "podman",
        network=settings.container_network,
        image=settings.container_image,
        git_base_url=settings.git_base_url,
    )

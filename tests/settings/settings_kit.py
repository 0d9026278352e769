"""An environment that can be used, and the problems of one that cannot."""

from __future__ import annotations

import asyncssh
import pytest

from sm.settings import SettingsError, load

KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()

PUBLIC = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()

GOOD = {
    "SM_MATTERMOST_URL": "https://mattermost.example.com",
    "SM_MATTERMOST_TOKEN": "mattermost-token-0123456789",
    "SM_VM_HOST": "192.168.12.10",
    "SM_VM_SSH_KEY": KEY,
    "SM_OPNSENSE_URL": "https://opnsense.example.com",
    "SM_OPNSENSE_KEY": "opnsense-key-0123456789",
    "SM_OPNSENSE_SECRET": "opnsense-secret-0123456789",
}


def problems(**changes: str | None) -> list[str]:
    environment = {**GOOD, **{name: text for name, text in changes.items() if text is not None}}
    for name, text in changes.items():
        if text is None:
            environment.pop(name, None)
    with pytest.raises(SettingsError) as caught:
        load(environment)
    return caught.value.problems


def only_problem(**changes: str | None) -> str:
    (problem,) = problems(**changes)
    return problem

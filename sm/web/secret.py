"""The secret that buttons are signed with: from the settings, or made once and kept beside the journal."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

SECRET_BYTES = 32
_TEXT_BYTES = 2 * SECRET_BYTES + 1  # hexadecimal, and a line end


class CallbackSecretError(Exception):
    """The file of the secret cannot be used; the text says why and how to mend it, and holds none of it."""


def callback_secret(setting: str | None, beside: Path) -> bytes:
    """The setting's bytes; without one, those of the file beside the journal (`beside`), made when missing.

    The file has mode 0600 and appears under its name whole and synced, or not at all: cards posted before a crash
    stay valid after it. Of two that make it at once, both use the first. Raises `CallbackSecretError`.
    """
    if setting is not None:
        return setting.encode()
    path = beside.with_name(beside.name + ".callback-secret")
    try:
        if not os.path.lexists(path):
            _make(path)
        return _read(path)
    except OSError as error:
        raise CallbackSecretError(
            f"The secret of the buttons cannot be kept in {path} ({error.strerror}): make its folder one that this "
            "user can write to, or set SM_CALLBACK_SECRET."
        ) from None


def _make(path: Path) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask took
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # unlike a rename, it never replaces what another start has made meanwhile
        except FileExistsError:
            return
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise CallbackSecretError(f"{path} is not a file: move it away, and a new secret is made.")
        if status.st_uid != os.geteuid():
            raise CallbackSecretError(f"{path} belongs to another user: chown {os.geteuid()} {path}")
        if status.st_mode & 0o077:
            raise CallbackSecretError(f"{path} can be read by others: chmod 600 {path}")
        text = file.read(_TEXT_BYTES + 1)
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise CallbackSecretError(
            f"{path} does not hold a secret of {SECRET_BYTES} bytes: put it back from a backup, or remove it; then a "
            "new one is made, and the buttons of earlier cards are refused."
        )
    return secret

"""What each setting may look like: text in, a value out, or `Unfit` with what is wrong.

Nothing here puts a value into its message unless it is a short word of an open vocabulary (`podmen`): a secret
in the wrong variable must not reach a log.
"""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import asyncssh
from attrs import frozen

from sm.core.grammar import COMMANDS
from sm.core.grammar.names import is_org

PATH_CHARACTERS = 1024
SECRET_CHARACTERS = 1024
FILE_BYTES = 256 * 1024
PROJECTS = 200
PROJECTS_CHARACTERS = 64 * 1024
# What podman and docker read as a mode of their own, and not as the name of a network with rules.
NETWORK_MODES = frozenset({"host", "none", "ns", "pasta", "private", "slirp4netns"})
# Answered by the listener itself, so no callback can live there.
RESERVED_PATHS = frozenset({"/health", "/ready", "/metrics"})
KEY_TYPES = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+")


class Unfit(ValueError):
    """A value that cannot be used; the text goes on from the variable's name (`is not …`).

    `mend` replaces the variable's usual advice when this finding has a better one.
    """

    def __init__(self, what: str, mend: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


@frozen
class HostPort:
    """A host name or address (IPv6 without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """A reader for words of one grammar; `what` says how a value breaks it, without showing the value."""
    grammar = re.compile(pattern)

    def read(text: str) -> str:
        if not grammar.fullmatch(text):
            raise Unfit(what)
        return text

    return read


def one_of(*words: str, later: dict[str, str] | None = None) -> Callable[[str], str]:
    """A reader for a closed list; `later` names words that will be allowed, and with what they come."""

    def read(text: str) -> str:
        if later and text in later:
            raise Unfit(
                f"cannot be {text} yet: that comes with {later[text]}", f"unset it, or set it to {words[0]}"
            )
        if text not in words:
            raise Unfit(f"is not {' or '.join(words)}")
        return text

    return read


def switch(text: str) -> bool:
    """Whether something is on: `true` or `false`, or another usual word for either."""
    if text.lower() in ("false", "0", "no", "off"):
        return False
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    raise Unfit("is not true or false")


def pairs(text: str, *, characters: int, most: int, what: str) -> Pairs:
    """The names and values of a bounded JSON object, in their order, those that stand twice too."""
    if len(text) > characters:
        raise Unfit(f"is longer than {characters} characters")
    try:
        read: Any = json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        raise Unfit("is not JSON") from None
    if not isinstance(read, Pairs):
        raise Unfit("is not a JSON object")
    if len(read) > most:
        raise Unfit(f"names more than {most} {what}")
    return read


def projects(text: str) -> dict[str, str]:
    """A JSON object of project names to absolute paths on the VM.

    A name is one word of the chat's `start`: it can be no repository (no slash), no option and no command. No two
    differ in upper and lower case only.
    """
    found: dict[str, str] = {}
    for name, path in pairs(text, characters=PROJECTS_CHARACTERS, most=PROJECTS, what="projects"):
        _project_name(name, taken={other.lower() for other in found})
        found[name] = _project_path(name, path)
    return found


def org(text: str) -> str:
    """The name of a user or an organisation on the git server, by GitHub's rules."""
    if not is_org(text):
        raise Unfit("is not the name of a user or an organisation")
    return text


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: what a dict would make of it has lost a name that stands there twice."""


def _project_name(name: str, *, taken: set[str]) -> None:
    shown = shown_name(name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise Unfit(
            f"names a project {shown}, which is not one word",
            "use letters, digits, dots, dashes and underscores, a letter or digit first, 64 at most",
        )
    if name.lower() in COMMANDS:
        raise Unfit(
            f"names a project {shown}, which is a command of the chat", "give the project another name"
        )
    if name.lower() in taken:
        raise Unfit(
            f"names the project {shown} twice (upper and lower case count as the same)",
            "leave one of them out",
        )


def _project_path(name: str, path: Any) -> str:
    if not isinstance(path, str):
        raise Unfit(f"has no path as a text for the project {shown_name(name)}")
    try:
        return remote_path(path)
    except Unfit as unfit:
        raise Unfit(f"has a path for the project {shown_name(name)} that {unfit.what}") from None


def shown_name(name: str) -> str:
    """A name that is no secret, cut, to stand in a message."""
    short = name if len(name) <= 40 else f"{name[:39]}…"
    return f'"{short}"' if short.isprintable() else ascii(short)


def secret(text: str) -> str:
    """A token: printable ASCII without spaces, bounded."""
    if len(text) > SECRET_CHARACTERS:
        raise Unfit(f"is longer than {SECRET_CHARACTERS} characters")
    if not re.fullmatch(r"[!-~]+", text):
        raise Unfit("holds a space, a control character or a character outside ASCII")
    return text


def api_key(text: str) -> str:
    """An API key that HTTP Basic can carry: the first colon would end it."""
    if ":" in secret(text):
        raise Unfit("holds a colon, which an API key never does")
    return text


def signing_secret(text: str) -> str:
    """A secret that buttons are signed with."""
    if len(secret(text)) < 16:
        raise Unfit("is shorter than 16 characters")
    return text


def host(text: str) -> str:
    """A host name, an IPv4 address, or an IPv6 address without brackets."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    labels = text.removesuffix(".").split(".")
    name = all(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", label) for label in labels)
    if not name or len(text) > 253 or labels[-1].isdigit():
        raise Unfit("is not a host name or an address")
    return text


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Unfit("has no port from 1 to 65535 after the last colon")
    return int(text)


def host_port(text: str, *, default_port: int | None) -> HostPort:
    """`host`, `host:port` or `[v6]:port`; without `default_port` the port must be there."""
    if found := re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(.*))?", text, re.DOTALL):
        name, port = found.group(1), found.group(2)
        if ":" not in name:
            raise Unfit("has brackets around something that is not an IPv6 address")
    elif text.count(":") > 1:
        raise Unfit(
            "is an IPv6 address without brackets, or has too many colons", "write it as [address]:port"
        )
    else:
        name, colon, rest = text.partition(":")
        port = rest if colon else None
    if port is None:
        if default_port is None:
            raise Unfit("has no port")
        return HostPort(host(name), default_port)
    return HostPort(host(name), _port(port))


def ssh_host(text: str) -> HostPort:
    """Where the VM's SSH server listens; port 22 unless said."""
    return host_port(text, default_port=22)


def listen_addr(text: str) -> HostPort:
    """The address to bind, with its port."""
    return host_port(text, default_port=None)


def url(text: str) -> str:
    """An http(s) URL without credentials, query and fragment; a slash at the end is dropped."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unfit("is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Unfit("does not begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise Unfit(
            "holds credentials before an @", "take them out; tokens and keys have variables of their own"
        )
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise Unfit("holds a query or a fragment (? or #)", "leave everything from there on out")
    if port == 0 or (port is None and parts.netloc.endswith(":")):
        raise Unfit("has no port after the colon")
    host(parts.hostname or "")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", parts.path) or re.search(r"/\.\.?(/|$)", parts.path):
        raise Unfit("has a path with more than plain names between single slashes")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def callback_url(text: str) -> str:
    """The URL that Mattermost posts a press to; its path is the one that the listener answers."""
    read = url(text)
    path = urlsplit(read).path
    if not path:
        raise Unfit("has no path", "add one, such as /callback")
    if path in RESERVED_PATHS:
        raise Unfit(f"has the path {path}, which answers something else", "use another, such as /callback")
    return read


def remote_path(text: str) -> str:
    """An absolute path on the VM, clean, and fit to be one end of a mount (no colon)."""
    if len(text) > PATH_CHARACTERS:
        raise Unfit(f"is longer than {PATH_CHARACTERS} characters")
    if not text.startswith("/") or text.startswith("//") or text == "/" or str(PurePosixPath(text)) != text:
        raise Unfit("is not a clean absolute path (no //, no /./, no slash at its end, not / itself)")
    if ".." in PurePosixPath(text).parts:
        raise Unfit("holds ..")
    if not text.isprintable() or ":" in text or "," in text:
        raise Unfit("holds a colon, a comma or a control character, which a mount cannot carry")
    return text


def local_path(text: str) -> Path:
    """An absolute path on this machine."""
    if not text.isprintable():
        raise Unfit("holds a line break or a control character, so it is not a path")
    return Path(remote_path(text))


def readable(path: Path) -> bytes:
    """The bytes of a small regular file, or `Unfit` with the reason why not.

    Shows no path: what stands in a path variable may be a secret that was meant for its neighbour.
    """
    try:
        if not path.is_file():
            raise Unfit("names a file that does not exist" if not path.exists() else "does not name a file")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise Unfit(f"names a file that cannot be read ({error.strerror or 'error'})") from None
    if len(content) > FILE_BYTES:
        raise Unfit(f"names a file of more than {FILE_BYTES} bytes")
    return content


def private_key(text: str) -> str:
    r"""An SSH private key as PEM text with plain line ends.

    A Kubernetes secret may carry it with CRLF, or on one line with a backslash and an n for each line end.
    """
    pem = text.replace("\r\n", "\n").replace("\\r\\n", "\n").replace("\\n", "\n").strip() + "\n"
    if len(pem) > FILE_BYTES:
        raise Unfit("is far too long for a private key")
    try:
        asyncssh.import_private_key(pem)
    except asyncssh.KeyEncryptionError:
        raise Unfit("is protected by a passphrase, which nobody could type") from None
    except (asyncssh.KeyImportError, ValueError) as error:
        if "passphrase" in str(error).lower() or "encrypt" in str(error).lower():
            raise Unfit("is protected by a passphrase, which nobody could type") from None
        raise Unfit("does not hold a private key that can be read") from None
    return pem


def host_keys(text: str) -> str:
    """Public host keys, one a line as `type base64`; the host name and comment of ssh-keyscan are dropped."""
    keys: list[str] = []
    for line in text.replace("\\n", "\n").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 1 and not KEY_TYPES.fullmatch(words[0]):
            words = words[1:]
        key = " ".join(words[:2])
        try:
            asyncssh.import_public_key(key)
        except (asyncssh.KeyImportError, ValueError):
            raise Unfit("does not hold a public host key (`ssh-ed25519 AAAA…`)") from None
        keys.append(key)
    if not keys:
        raise Unfit("does not hold a public host key (`ssh-ed25519 AAAA…`)")
    return "\n".join(keys)


def known_hosts(text: str) -> Path:
    """A known_hosts file that can be read and understood."""
    path = local_path(text)
    try:
        asyncssh.import_known_hosts(readable(path).decode())
    except ValueError as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit("names a file that is not in known_hosts format") from None
    return path


def ca_file(text: str) -> Path:
    """A file of PEM certificates."""
    path = local_path(text)
    content = readable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise Unfit("names a file without PEM certificates") from None
    return path


def fingerprint(text: str) -> bytes:
    """The SHA-256 of a certificate: 32 bytes, from 64 hex digits with or without colons."""
    digits = re.sub(r"^sha-?256( fingerprint)?[:= ]", "", text.strip(), flags=re.IGNORECASE).replace(":", "")
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        raise Unfit("is not a SHA-256 fingerprint (64 hexadecimal digits, with or without colons)")
    return bytes.fromhex(digits)

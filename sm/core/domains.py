"""Which names can be asked for, as far as their spelling tells: a table of what they could be taken for instead.

Whether a name is a public suffix, and what a name outside of ASCII is in A-labels, depends on tables that change over
the years: that is ingress's part (`sm.engine.judging`). OPNsense accepts more than it should (single labels, ranges,
`!`, other aliases' names), so we judge first.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_NAME = 253
MAX_LABEL = 63
MAX_WRITTEN = 1000  # characters of what somebody wrote that are kept, and looked at

_ADVICE = {
    "empty": "name one host, such as example.com",
    "not_a_host_name": "write a plain host name: letters, digits and hyphens, with dots between",
    "not_idna": "it has characters that no domain name can have (IDNA 2008); write the host's A-labels (xn--…)",
    "no_dot": "a single label is no public host name; write the full name",
    "too_long": "a host name has at most 253 characters, and 63 between dots",
    "an_address": "addresses are not opened, in any notation; ask for the host's name",
    "a_range": "ranges of addresses are not opened; ask for the host's name",
    "a_network": "networks are not opened; ask for the host's name",
    "negated": "an exclamation mark makes an exception, and exceptions are not asked for; write the host's name alone",
    "wildcard": "the firewall knows no wildcards; name each host",
    "a_port": "only port 443 is opened; write the host's name alone",
    "a_url": "a host is opened, not a page on it; write the host's name alone",
    "special_use": "that name is private or of special use, it leads nowhere in the public network",
    "metadata": "that is where a cloud tells its machines their secrets; it is never opened",
    "unknown_suffix": "no public name ends so, by the list of public suffixes; write the full name",
    "public_suffix": "that is a whole registry, not one host; name the host",
    "not_global": "it resolves to an address that is not public",
    "is_peer": "it resolves to the address of one of the service's own machines",
    "too_many": "too many open requests; wait for an answer to the others",
}

CODES = tuple(_ADVICE)
_CAUTION = {
    "unicode": "it has characters outside of ASCII, which may look like others",
    "mixed_script": "it mixes letters of several scripts, as names that are made to deceive do",
}

# IANA's register of special-use domain names (RFC 6761 and later) where it says that the public DNS has no answer; what
# RFC 6762 (appendix G) and ICANN keep for private networks; what container and cluster networks call their own.
# `example` is none of them: RFC 6761 6.5 wants software to treat it like any other, and it never resolves.
_SPECIAL = frozenset(
    {
        *("alt", "arpa", "internal", "invalid", "local", "localhost", "onion", "test"),
        *("corp", "home", "intranet", "lan", "localdomain", "mail", "private"),
        *("cluster", "consul", "podman", "svc"),
    }
)
# Where clouds answer their own machines under a name; the address is 169.254.169.254 or one like it.
_METADATA = (
    "metadata.goog",
    "metadata.google.internal",
    "metadata.azure.internal",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "metadata.packet.net",
    "api.metadata.cloud.ibm.com",
)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as a resolver reads one: octal and hexadecimal too
_IPV6 = re.compile(r"(?=[^:]*:[^:]*:)[0-9a-f:.]+(?:%[^\s/]*)?")  # two colons at least; a zone behind
_URL = re.compile(r"[/?#@\\]|:(?![0-9])")
_IN_URL = re.compile(r"(?:[a-z][a-z0-9+-]*:(?![0-9]))?[/\\]*(?:[^/?#\\@]*@)*([^/?#\\@]*)")
_LINK = re.compile(r"\[[^\]]*\]\((.*)\)")  # of Markdown
_AROUND = "<>\"'`(),; \u2018\u2019\u201c\u201d"


def advice(code: str, hint: str = "") -> str:
    """What to do about a refused name. `hint`: the host that was perhaps meant."""
    said = _ADVICE.get(code, "it cannot be opened")
    return f"{said}; perhaps {hint} is meant" if hint else said


def caution(warning: str) -> str:
    """What a person should know of a good name with this warning."""
    return _CAUTION.get(warning, "look at it twice")


def refusal(name: str) -> str:
    """The code of what is wrong with a name, or an empty string. The name is lower-case, without a dot at its end."""
    return next((code for code, is_so in _REFUSED if is_so(name)), "")


def meant(name: str) -> str:
    """The host that a refused name was perhaps to be, as far as it can be read off; it is not judged, and may be empty."""
    bare = linked.group(1) if (linked := _LINK.fullmatch(name)) else name
    bare = bare.strip(_AROUND)
    host = matched.group(1) if (matched := _IN_URL.match(bare)) else ""
    if not host.startswith("["):
        host = host.partition(":")[0]
    host = host.lstrip("*!.").rstrip(".")
    return "" if host == name else host


def _is_address(name: str) -> bool:
    """An IP address in any notation that some resolver reads: `127.1`, `0x7f.1`, `2130706433`, `[::1]:443`."""
    bare = re.sub(r"^\[(.*)\](?::[0-9]*)?$", r"\1", name)
    if _IPV6.fullmatch(bare):
        return True
    host = re.sub(r":[0-9]*$", "", bare)
    return bool(host) and all(_NUMBER.fullmatch(label) for label in host.rstrip(".").split("."))


def _is_range(name: str) -> bool:
    ends = name.split("-")
    return len(ends) == 2 and all(map(_is_address, ends))


def _is_network(name: str) -> bool:
    """`10.0.0.0/8`, `2001:db8::/32`, `10.0.0.0/255.0.0.0`."""
    base, slash, mask = name.partition("/")
    return bool(slash) and _is_address(base) and (not mask or _is_address(mask))


def _is_too_long(name: str) -> bool:
    return len(name) > MAX_NAME or any(len(label) > MAX_LABEL for label in name.split("."))


def _is_no_host_name(name: str) -> bool:
    """A name whose last label is a number is none: a resolver would read it as an address."""
    labels = name.split(".")
    return not all(map(_LABEL.match, labels)) or _NUMBER.fullmatch(labels[-1]) is not None


def _is_metadata(name: str) -> bool:
    return any(name == host or name.endswith(f".{host}") for host in _METADATA)


# In this order: what comes first says more.
_REFUSED: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("empty", lambda name: not name),
    ("negated", lambda name: name.startswith("!")),
    ("an_address", _is_address),
    ("a_range", _is_range),
    ("a_network", _is_network),
    ("a_url", lambda name: _URL.search(name) is not None),
    ("wildcard", lambda name: "*" in name),
    ("a_port", lambda name: re.fullmatch(r"[^:]+:[0-9]+", name) is not None),
    ("too_long", _is_too_long),
    ("not_a_host_name", _is_no_host_name),
    ("metadata", _is_metadata),
    (
        "special_use",
        lambda name: name == "localhost" or ("." in name and name.rpartition(".")[2] in _SPECIAL),
    ),
    ("no_dot", lambda name: "." not in name),
)

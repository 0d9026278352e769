"""The firewall's DNS as the VM's containers see it: answers for IPv4 addresses from a hosts file, over UDP.

python name_server.py HOSTS ADDRESS
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

A, NXDOMAIN = 1, 3


def addresses(hosts: Path, name: str) -> list[str]:
    rows = [line.split() for line in hosts.read_text().splitlines()]
    return [row[0] for row in rows if name in row[1:]]


def reply(query: bytes, hosts: Path) -> bytes:
    """The answer to a query of one question."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    question = query[12 : at + 5]
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    found = addresses(hosts, ".".join(labels))
    shown = found if kind == A else []
    flags = 0x8180 | (0 if found else NXDOMAIN)
    header = query[:2] + struct.pack("!HHHHH", flags, 1, len(shown), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 5, 4)
    return header + question + b"".join(record + socket.inet_aton(address) for address in shown)


def main(hosts: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            query, client = server.recvfrom(4096)
            try:
                server.sendto(reply(query, Path(hosts)), client)
            except (IndexError, struct.error):
                continue  # no DNS question


if __name__ == "__main__":
    main(*sys.argv[1:])

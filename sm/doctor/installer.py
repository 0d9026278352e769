"""The rules of the container network as a script that root runs on the VM."""

from __future__ import annotations

from sm.vm.network import Rules

FOLDER = "/etc/session-manager"
_UNIT = f"""\
[Unit]
Description=Rules of Session Manager's container networks
After=nftables.service
Before=docker.service podman.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec 'for rules in {FOLDER}/*.nft; do nft -f "$rules"; done'
ExecReload=/bin/sh -ec 'for rules in {FOLDER}/*.nft; do nft -f "$rules"; done'

[Install]
WantedBy=multi-user.target
"""


def installer(rules: Rules, network: str, vm: str) -> str:
    """A shell script with comments that say what it is; for rootless podman the rules alone, in comments."""
    if rules.rootless:
        return _rootless(rules, network)
    file = f"{FOLDER}/{network}.nft"
    return f"""\
#!/bin/sh
# The rules of the network {network} (bridge {rules.bridge}) on the VM {vm}: what its containers must not reach there.
# Read them, then run this as root on the VM, for example: sm doctor rules | ssh root@{vm} sh
# They hold at once and after every boot. Install them again when the network was made anew or the VM's name server changed.
set -eu
command -v nft >/dev/null || {{ echo "nft is not installed: apt-get install nftables" >&2; exit 1; }}
install -d -m 0755 {FOLDER}
cat >{file}.part <<'RULES'
{rules.whole}RULES
# Kernels without nft_meta_bridge do not know the bridge of a frame; there the addresses decide.
nft -c -f {file}.part 2>/dev/null || cat >{file}.part <<'RULES'
{rules.plain}RULES
nft -f {file}.part
mv {file}.part {file}
if [ -d /run/systemd/system ]; then
cat >/etc/systemd/system/session-manager-rules.service <<'UNIT'
{_UNIT}UNIT
systemctl daemon-reload
systemctl enable -q session-manager-rules.service
else
echo "There is no systemd: let {file} be loaded at boot by nft -f." >&2
fi
echo "The rules of the network {network} are in force. Now: sm doctor network" >&2
"""


def _rootless(rules: Rules, network: str) -> str:
    shown = "".join(f"#   {line}\n" for line in rules.whole.splitlines())
    return f"""\
# Nothing to install but nftables: sudo apt-get install nftables
# The network {network} is rootless podman's, in a namespace of its own. Every start loads these rules there by itself
# (podman unshare --rootless-netns nft -f …) and tries them from a container:
#
{shown}"""

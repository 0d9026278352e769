"""The table of variables: the one truth about their names, defaults and meanings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from sm.settings import approvals, syntax


@frozen
class Variable:
    """One SM_* variable. `default` is text as it would be set, None when there is none.

    `read` makes the value or raises `Unfit`; `mend` goes on after a colon and says what to set. `unset` is the value
    of an optional one without a default. `unit` ends the field's name.
    """

    name: str
    required: bool
    default: str | None
    secret: bool
    description: str
    mend: str
    read: Callable[[str], Any]
    unset: Any = None
    unit: str = ""

    @property
    def field(self) -> str:
        """What it is called in the settings."""
        return self.name.removeprefix("SM_").lower() + (f"_{self.unit}" if self.unit else "")


def _required(
    name: str, description: str, mend: str, read: Callable[[str], Any], *, secret: bool = False
) -> Variable:
    return Variable(
        name, required=True, default=None, secret=secret, description=description, mend=mend, read=read
    )


def _optional(
    name: str,
    default: str | None,
    description: str,
    mend: str,
    read: Callable[[str], Any],
    *,
    secret: bool = False,
    unit: str = "",
) -> Variable:
    return Variable(
        name,
        required=False,
        default=default,
        secret=secret,
        description=description,
        mend=mend,
        read=read,
        unit=unit,
    )


def _unset_is_empty(
    name: str, description: str, mend: str, read: Callable[[str], tuple[str, ...]]
) -> Variable:
    return Variable(
        name,
        required=False,
        default=None,
        secret=False,
        description=description,
        mend=mend,
        read=read,
        unset=(),
    )


def _word(first: str, rest: str, longest: int, what: str) -> Callable[[str], str]:
    return syntax.matching(f"[{first}][{rest}]{{0,{longest - 1}}}", what)


def _network(text: str) -> str:
    if text in syntax.NETWORK_MODES:
        raise syntax.Unfit(
            f"is {text}, a mode without the firewall's rules",
            "name a network of the container runtime, such as isolated",
        )
    return _word("A-Za-z0-9", "A-Za-z0-9_.-", 63, "is not the name of a container network")(text)


VARIABLES: tuple[Variable, ...] = (
    _required(
        "SM_MATTERMOST_URL",
        "Mattermost server URL",
        "set it to the server's address, such as https://mattermost.example.com",
        syntax.url,
    ),
    _required(
        "SM_MATTERMOST_TOKEN",
        "Bot token",
        "set it to the access token of the bot account (System Console, Integrations, Bot Accounts)",
        syntax.secret,
        secret=True,
    ),
    _required(
        "SM_VM_HOST",
        "SSH host for container VM, with its port if that is not 22 (`host:port`, `[v6]:port`)",
        "set it to the VM's name or address, such as 192.168.12.10",
        syntax.ssh_host,
    ),
    _optional(
        "SM_VM_USER",
        "claude",
        "SSH user",
        "set it to the name of the VM's user, such as claude",
        _word("A-Za-z_", "A-Za-z0-9_.-", 32, "is not a user name"),
    ),
    _optional(
        "SM_VM_SSH_KEY",
        None,
        "SSH private key content (preferred for K8s)",
        "set it to the text of a private key without a passphrase, from BEGIN to END",
        syntax.private_key,
        secret=True,
    ),
    _optional(
        "SM_VM_SSH_KEY_PATH",
        "/secrets/ssh/id_ed25519",
        "Path to SSH key file (fallback)",
        "set it to the absolute path of a private key file without a passphrase, or set SM_VM_SSH_KEY to the key itself",
        syntax.local_path,
    ),
    _optional(
        "SM_VM_HOST_KEY",
        None,
        "The VM's public SSH host key, one or more lines (`ssh-ed25519 AAAA…`); without it the first key seen is kept",
        "set it to what `cat /etc/ssh/ssh_host_ed25519_key.pub` prints on the VM",
        syntax.host_keys,
    ),
    _optional(
        "SM_VM_KNOWN_HOSTS",
        None,
        "Path to a known_hosts file with the VM's host key, instead of SM_VM_HOST_KEY",
        "set it to the absolute path of a known_hosts file",
        syntax.known_hosts,
    ),
    _optional(
        "SM_CONTAINER_RUNTIME",
        "podman",
        "`podman` or `docker`",
        "set it to podman or docker",
        syntax.one_of("podman", "docker"),
    ),
    _optional(
        "SM_CONTAINER_NETWORK",
        "isolated",
        "Container network name",
        "set it to the name of a network of the container runtime, such as isolated",
        _network,
    ),
    _optional(
        "SM_CONTAINER_IMAGE",
        "claude-code:latest",
        "Container image",
        "set it to an image on the VM, such as claude-code:latest",
        _word("A-Za-z0-9", "A-Za-z0-9._/:@-", 255, "is not the name of an image"),
    ),
    _required(
        "SM_OPNSENSE_URL",
        "OPNsense API URL",
        "set it to the firewall's address, such as https://opnsense.example.com",
        syntax.url,
    ),
    _required(
        "SM_OPNSENSE_KEY",
        "API key",
        "set it to the key of the API user (System, Access, Users)",
        syntax.api_key,
        secret=True,
    ),
    _required(
        "SM_OPNSENSE_SECRET",
        "API secret",
        "set it to the secret that came with the API key",
        syntax.secret,
        secret=True,
    ),
    _optional(
        "SM_OPNSENSE_ALIAS",
        "llm_approved_domains",
        "Firewall alias name",
        "set it to the name of a Host(s) alias: a letter or _ first, then letters, digits and _, 32 at most",
        _word("A-Za-z_", "A-Za-z0-9_", 32, "is not a name that OPNsense allows"),
    ),
    _optional(
        "SM_OPNSENSE_FINGERPRINT",
        None,
        "SHA-256 fingerprint of the firewall's certificate: exactly that one is accepted, whoever signed it",
        "set it to what `openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE` prints",
        syntax.fingerprint,
    ),
    _optional(
        "SM_CA_FILE",
        None,
        "Path to PEM certificates of an authority of your own, trusted beside the system's",
        "set it to the absolute path of a file of PEM certificates",
        syntax.ca_file,
    ),
    _optional(
        "SM_REPOS_BASE_PATH",
        "/home/claude/repos",
        "Where GitHub repos are cloned",
        "set it to an absolute path on the VM, such as /home/claude/repos",
        syntax.remote_path,
    ),
    _optional(
        "SM_WORKTREES_PATH",
        "/home/claude/worktrees",
        "Where worktrees are created",
        "set it to an absolute path on the VM, such as /home/claude/worktrees",
        syntax.remote_path,
    ),
    _optional(
        "SM_SESSIONS_PATH",
        "/home/claude/sessions",
        "Where the files of the sessions are kept on the VM",
        "set it to an absolute path on the VM, such as /home/claude/sessions",
        syntax.remote_path,
    ),
    _optional(
        "SM_AUTO_PULL",
        "false",
        "Pull repos before starting sessions",
        "set it to true or false",
        syntax.switch,
    ),
    _optional(
        "SM_PROJECTS",
        "{}",
        "JSON map of project name to path (legacy)",
        'set it to a JSON object such as {"myproject":"/home/claude/projects/myproject"}, or unset it',
        syntax.projects,
    ),
    _optional(
        "SM_GIT_BASE_URL",
        "https://github.com",
        "Where repositories come from: GitHub, a GitHub Enterprise or a Gitea",
        "set it to the server's address, such as https://github.example.com",
        syntax.url,
    ),
    _optional(
        "SM_DEFAULT_ORG",
        None,
        "The owner meant by `start repo` without one",
        "set it to the name of a user or an organisation on the git server, such as acme, or unset it",
        syntax.org,
    ),
    _optional(
        "SM_PERMISSION_MODE",
        "bypassPermissions",
        "Permission mode of the agent; `bypassPermissions` is the only one until permission cards exist",
        "unset it, or set it to bypassPermissions",
        syntax.one_of(
            "bypassPermissions",
            later=dict.fromkeys(("default", "acceptEdits", "plan", "dontAsk"), "permission cards"),
        ),
    ),
    _optional(
        "SM_RESOLVER",
        None,
        "DNS server that names are resolved with before they are opened (`host`, `host:port`, `[v6]:port`): "
        "best the one that OPNsense uses; without it the system's",
        "set it to the address of a DNS server, such as 192.168.12.1 or [fd00::1]:53, or unset it",
        approvals.resolver,
    ),
    _optional(
        "SM_DOMAIN_SETS",
        "{}",
        "JSON map of a name to domains that belong together, beside the shipped sets; an empty list takes one away",
        'set it to a JSON object such as {"python":["pypi.org","files.pythonhosted.org"]}, or unset it',
        approvals.domain_sets,
    ),
    _unset_is_empty(
        "SM_APPROVERS",
        "User names or ids of those who may decide; without it every person in the channel",
        "set it to user names or ids with commas or spaces between them, such as alice, bob, or unset it",
        approvals.approvers,
    ),
    _optional(
        "SM_APPROVE_OWN",
        "true",
        "Whether who started a session may decide its requests, and approve what nobody asked for",
        "set it to true or false",
        syntax.switch,
    ),
    _optional(
        "SM_APPROVAL_STRONG",
        "false",
        "Whether a button only asks for the reaction or the command that decides",
        "set it to true or false",
        syntax.switch,
    ),
    _optional(
        "SM_APPROVAL_REMIND",
        "1h",
        "After how long an unanswered card reminds, once; `0` is never",
        "set it to a duration of at most 30d, such as 90s, 5m or 1h, or to 0 for never",
        approvals.lasting("30d", never=True),
        unit="s",
    ),
    _optional(
        "SM_APPROVAL_TTL",
        "24h",
        "After how long an unanswered card expires, as a denial that nothing remembers",
        "set it to a duration of at most 30d, such as 5m, 24h or 1d",
        approvals.lasting("30d"),
        unit="s",
    ),
    _optional(
        "SM_APPROVAL_MAX_PENDING",
        "20",
        "How many open cards one session can have",
        "set it to a whole number from 1 to 100",
        approvals.number(1, 100),
    ),
    _optional(
        "SM_APPROVAL_CHANNEL",
        None,
        "Id of a channel that gets a copy of each card, equal in force: its members may read and decide all requests",
        "set it to the channel's id, which View Info in the channel's menu shows, or unset it",
        approvals.channel_id,
    ),
    _optional(
        "SM_AUDIT_CHANNEL",
        None,
        "Id of a channel that is told what differs at the firewall; without it that is said where the grant was decided",
        "set it to the channel's id, which View Info in the channel's menu shows, or unset it",
        approvals.channel_id,
    ),
    _optional(
        "SM_RECONCILE_INTERVAL",
        "5m",
        "How often the firewall's alias is compared with what was granted",
        "set it to a duration of at most 24h, such as 90s, 5m or 1h",
        approvals.lasting("24h"),
        unit="s",
    ),
    _optional(
        "SM_CALLBACK_URL",
        "http://session-manager:8000/callback",
        "Mattermost callback URL",
        "set it to where Mattermost reaches this service, such as http://session-manager:8000/callback",
        syntax.callback_url,
    ),
    _optional(
        "SM_CALLBACK_SECRET",
        None,
        "What buttons are signed with; without it a random one is made once and kept beside the journal",
        "set it to at least 16 random characters, such as `openssl rand -hex 32` prints, or unset it",
        syntax.signing_secret,
        secret=True,
    ),
    _optional(
        "SM_LISTEN_ADDR",
        "0.0.0.0:8000",
        "Server bind address",
        "set it to address:port, such as 0.0.0.0:8000 or [::]:8000",
        syntax.listen_addr,
    ),
    _optional(
        "SM_JOURNAL",
        "/var/lib/session-manager/journal.db",
        "Path of the journal, the service's one file of record",
        "set it to an absolute path on a local disk that outlives the service, such as /var/lib/session-manager/journal.db",
        syntax.local_path,
    ),
)

BY_NAME = {variable.name: variable for variable in VARIABLES}

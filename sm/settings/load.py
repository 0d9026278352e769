"""From the environment to `Settings`, or to one message that lists everything wrong with it."""

from __future__ import annotations

import base64
import difflib
import ipaddress
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import environ

from sm.settings.syntax import HostPort, Unfit, private_key, readable
from sm.settings.variables import BY_NAME, VARIABLES, Variable

PROBLEMS_SHOWN = 60
_GIVEN = "names that were set"  # no environment variable can be called so


class SettingsError(Exception):
    """The environment cannot be used. `problems` has a sentence for each fault, with how to mend it; no secrets."""

    exit_status = 2

    def __init__(self, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            "\n".join([f"The settings cannot be used, {count}:", *(f"  - {line}" for line in problems)])
        )
        self.problems = problems


def _reader(variable: Variable) -> Callable[[str], Any]:
    """Converter for environ-config that hands `Unfit` on as a value, so that all of them can be listed."""

    def convert(text: str) -> Any:
        if not text:
            return Unfit("is missing") if variable.required else variable.unset
        try:
            return variable.read(text)
        except Unfit as unfit:
            return unfit

    return convert


def _var(name: str) -> Any:
    variable = BY_NAME[name]
    return environ.var(  # pyright: ignore[reportUnknownMemberType] - its converter is a bare Callable
        default=variable.default or "", name=name, converter=_reader(variable), help=variable.description
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


@environ.config(prefix="SM", frozen=True)
class Settings:
    """What is in force. Secrets are plain strings here, and in no repr."""

    mattermost_url: str = _var("SM_MATTERMOST_URL")
    mattermost_token: str = _var("SM_MATTERMOST_TOKEN")
    vm_host: HostPort = _var("SM_VM_HOST")
    vm_user: str = _var("SM_VM_USER")
    vm_ssh_key: str | None = _var("SM_VM_SSH_KEY")
    vm_ssh_key_path: Path = _var("SM_VM_SSH_KEY_PATH")
    vm_host_key: str | None = _var("SM_VM_HOST_KEY")
    vm_known_hosts: Path | None = _var("SM_VM_KNOWN_HOSTS")
    container_runtime: str = _var("SM_CONTAINER_RUNTIME")
    container_network: str = _var("SM_CONTAINER_NETWORK")
    container_image: str = _var("SM_CONTAINER_IMAGE")
    opnsense_url: str = _var("SM_OPNSENSE_URL")
    opnsense_key: str = _var("SM_OPNSENSE_KEY")
    opnsense_secret: str = _var("SM_OPNSENSE_SECRET")
    opnsense_alias: str = _var("SM_OPNSENSE_ALIAS")
    opnsense_fingerprint: bytes | None = _var("SM_OPNSENSE_FINGERPRINT")
    ca_file: Path | None = _var("SM_CA_FILE")
    repos_base_path: str = _var("SM_REPOS_BASE_PATH")
    worktrees_path: str = _var("SM_WORKTREES_PATH")
    sessions_path: str = _var("SM_SESSIONS_PATH")
    auto_pull: bool = _var("SM_AUTO_PULL")
    projects: dict[str, str] = _var("SM_PROJECTS")
    git_base_url: str = _var("SM_GIT_BASE_URL")
    default_org: str | None = _var("SM_DEFAULT_ORG")
    permission_mode: str = _var("SM_PERMISSION_MODE")
    resolver: str | None = _var("SM_RESOLVER")
    domain_sets: dict[str, tuple[str, ...]] = _var("SM_DOMAIN_SETS")
    approvers: tuple[str, ...] = _var("SM_APPROVERS")
    approve_own: bool = _var("SM_APPROVE_OWN")
    approval_strong: bool = _var("SM_APPROVAL_STRONG")
    approval_remind_s: int = _var("SM_APPROVAL_REMIND")
    approval_ttl_s: int = _var("SM_APPROVAL_TTL")
    approval_max_pending: int = _var("SM_APPROVAL_MAX_PENDING")
    approval_channel: str | None = _var("SM_APPROVAL_CHANNEL")
    audit_channel: str | None = _var("SM_AUDIT_CHANNEL")
    reconcile_interval_s: int = _var("SM_RECONCILE_INTERVAL")
    callback_url: str = _var("SM_CALLBACK_URL")
    callback_secret: str | None = _var("SM_CALLBACK_SECRET")
    listen_addr: HostPort = _var("SM_LISTEN_ADDR")
    journal: Path = _var("SM_JOURNAL")
    given: frozenset[str] = environ.var(default="", name=_GIVEN, converter=_names)  # pyright: ignore[reportUnknownMemberType]

    def __repr__(self) -> str:
        return f"<Settings of {self.vm_user}@{self.vm_host}, {len(self.given)} variables set>"

    @property
    def callback_path(self) -> str:
        """The path of `callback_url`: what the listener answers."""
        return urlsplit(self.callback_url).path

    def ssh_key_text(self) -> str:
        """The SSH private key as PEM text: `SM_VM_SSH_KEY`, else the file's content. Raises `SettingsError`."""
        if self.vm_ssh_key is not None:
            return self.vm_ssh_key
        try:
            return private_key(readable(self.vm_ssh_key_path).decode("utf-8", "replace"))
        except Unfit as unfit:
            raise SettingsError([_problem("SM_VM_SSH_KEY_PATH", unfit)]) from None

    def secret_values(self) -> tuple[str, ...]:
        """Every text that must not be recorded, longest first; the forms they take on the wire included."""
        basic = base64.b64encode(f"{self.opnsense_key}:{self.opnsense_secret}".encode()).decode()
        values = {
            self.mattermost_token,
            self.opnsense_key,
            self.opnsense_secret,
            basic,
            self.callback_secret or "",
        }
        key = self.ssh_key_text()
        values |= {key, key.strip(), key.strip().replace("\n", "\\n")}
        return tuple(sorted(values - {""}, key=lambda value: (-len(value), value)))

    def peers_on_loopback(self) -> bool:
        """Whether Mattermost, the VM and the firewall all are this machine."""
        hosts = (
            urlsplit(self.mattermost_url).hostname,
            self.vm_host.host,
            urlsplit(self.opnsense_url).hostname,
        )
        return all(_is_loopback(host or "") for host in hosts)

    def describe(self) -> list[tuple[str, str, str]]:
        """Rows of (name, value or mask, `environment` or `default`), in the table's order."""
        return [
            (
                variable.name,
                self._shown(variable),
                "environment" if variable.name in self.given else "default",
            )
            for variable in VARIABLES
        ]

    def printed(self) -> str:
        """What `sm config` prints: `describe` in columns, then the warnings."""
        rows = self.describe()
        names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines = [f"{name:<{names}}  {value:<{min(values, 60)}}  {source}" for name, value, source in rows]
        return "\n".join([*lines, *(f"⚠️ {warning}" for warning in self.warnings())])

    def _shown(self, variable: Variable) -> str:
        value: Any = getattr(self, variable.field)
        if value is None or value == ():
            return "(not set)"
        if variable.secret:
            return f"•••• ({len(value)} characters)"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, bytes):
            return value.hex(":").upper()
        if isinstance(value, tuple):
            return ", ".join(cast("tuple[str, ...]", value))
        if variable.unit:
            return f"{value} {variable.unit}"
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
        return str(value).replace("\n", ", ")

    def warnings(self) -> list[str]:
        """Sentences about what is allowed and not wise."""
        secrets_go_to = {
            "SM_MATTERMOST_URL": self.mattermost_url,
            "SM_OPNSENSE_URL": self.opnsense_url,
            "SM_GIT_BASE_URL": self.git_base_url,
        }
        return [
            f"{name} is plain http to another machine: what is sent there, the key included, can be read on the way."
            for name, url in secrets_go_to.items()
            if url.startswith("http:") and not _is_loopback(urlsplit(url).hostname or "")
        ] + self._unwise_approvals()

    def _unwise_approvals(self) -> list[str]:
        found: list[str] = []
        if not self.approve_own and len(self.approvers) == 1:
            found.append(
                "SM_APPROVERS names one user and SM_APPROVE_OWN is false: nobody can decide what that user's sessions ask for."
            )
        if self.approval_remind_s >= self.approval_ttl_s:
            found.append(
                "SM_APPROVAL_REMIND is not shorter than SM_APPROVAL_TTL: a card expires before it would remind."
            )
        return found


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == "localhost" or name.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def load(environment: Mapping[str, str]) -> Settings:
    """Read the SM_* variables; empty ones count as unset. Raises `SettingsError` with every problem there is.

    Reads the files that are named (key, known_hosts, certificates), since a start without them would fail later.
    """
    present = {name: text.strip() for name, text in environment.items() if name in BY_NAME and text.strip()}
    settings = environ.to_config(Settings, {**present, _GIVEN: " ".join(present)})
    values = {name: getattr(settings, variable.field) for name, variable in BY_NAME.items()}
    unfit = {name: value for name, value in values.items() if isinstance(value, Unfit)}
    problems = [_problem(name, found) for name, found in unfit.items()]
    problems += _together({name: value for name, value in values.items() if name not in unfit}, present)
    problems += [
        _unknown(name) for name in sorted(environment) if name.startswith("SM_") and name not in BY_NAME
    ]
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        raise SettingsError(problems[:PROBLEMS_SHOWN] + ([f"… and {more} more."] if more > 0 else []))
    return settings


def load_some(environment: Mapping[str, str], *names: str) -> dict[str, Any]:
    """The values of some variables, whatever the others are. Raises `SettingsError` as `load` does."""
    texts = {name: environment.get(name, "").strip() or BY_NAME[name].default or "" for name in names}
    values = {name: _reader(BY_NAME[name])(text) for name, text in texts.items()}
    if problems := [_problem(name, found) for name, found in values.items() if isinstance(found, Unfit)]:
        raise SettingsError(problems)
    return values


def _problem(name: str, unfit: Unfit) -> str:
    return f"{name} {unfit.what}: {unfit.mend or BY_NAME[name].mend}."


def _unknown(name: str) -> str:
    shown = name[:60].encode("ascii", "backslashreplace").decode()
    near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.6)
    advice = f"did you mean {near[0]}? If not, unset it" if near else "unset it"
    if name.startswith(("SM_PORT", "SM_SERVICE_")):
        advice += (
            " (Kubernetes sets it for a service called sm: put `enableServiceLinks: false` into the pod)"
        )
    return f"{shown} is not a setting: {advice}."


def _together(values: Mapping[str, Any], present: Mapping[str, str]) -> list[str]:
    """Problems of settings that are right by themselves and not beside each other."""
    problems: list[str] = []
    if "SM_VM_SSH_KEY" in values and values["SM_VM_SSH_KEY"] is None and "SM_VM_SSH_KEY_PATH" in values:
        problems += _key_file(values["SM_VM_SSH_KEY_PATH"], asked_for="SM_VM_SSH_KEY_PATH" in present)
    if values.get("SM_VM_HOST_KEY") and values.get("SM_VM_KNOWN_HOSTS"):
        problems.append("SM_VM_HOST_KEY and SM_VM_KNOWN_HOSTS are both set: unset one of them.")
    if values.get("SM_OPNSENSE_FINGERPRINT") and str(values.get("SM_OPNSENSE_URL", "https:")).startswith(
        "http:"
    ):
        problems.append(
            "SM_OPNSENSE_FINGERPRINT is set, but SM_OPNSENSE_URL is plain http, which has no certificate: "
            "use https, or unset the fingerprint."
        )
    paths = [
        name for name in ("SM_REPOS_BASE_PATH", "SM_WORKTREES_PATH", "SM_SESSIONS_PATH") if name in values
    ]
    for index, name in enumerate(paths):
        for other in paths[index + 1 :]:
            if _overlap(values[name], values[other]):
                problems.append(f"{name} and {other} lie in each other: set them to folders that lie apart.")
        problems += [
            f'SM_PROJECTS has the project "{project}" in, around or at the folder of {name}, where the service keeps '
            "its own: move the project, or the setting, to a folder that lies apart."
            for project, path in values.get("SM_PROJECTS", {}).items()
            if _overlap(values[name], path)
        ]
    return problems


def _key_file(path: Path, *, asked_for: bool) -> list[str]:
    try:
        private_key(readable(path).decode("utf-8", "replace"))
    except Unfit as unfit:
        if asked_for:
            return [_problem("SM_VM_SSH_KEY_PATH", Unfit(f"({path}) {unfit.what}", unfit.mend))]
        return [
            (
                f"SM_VM_SSH_KEY is missing, and SM_VM_SSH_KEY_PATH ({path}, its default) {unfit.what}: "
                f"{BY_NAME['SM_VM_SSH_KEY'].mend}, or set SM_VM_SSH_KEY_PATH to the absolute path of one."
            )
        ]
    return []


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")

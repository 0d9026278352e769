"""Every command but `run`: what is there, how it is, stopping and removing it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from sm.sandbox.vm.container import template, wording
from sm.sandbox.vm.container.run import has_image, run
from sm.sandbox.vm.container.store import Engine, Record, Store, process_start

_POLL_S = 0.02
_END_S = 10.0
# Of every network, as each runtime tells it: the gate's box refuses this subnet as the VM's own.
_SUBNETS: dict[str, dict[str, object]] = {
    "podman": {
        "network_interface": "podman1",
        "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}],
        "ipv6_enabled": False,
    },
    "docker": {
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.89.0.0/24", "Gateway": "10.89.0.1"}]},
        "Options": {"com.docker.network.bridge.name": "podman1"},
    },
}


class Client:
    """One call of `podman` or `docker`."""

    def __init__(self, runtime: str, engine: Engine, store: Store) -> None:
        self.runtime = runtime
        self.engine = engine
        self.store = store

    def answer(self, words: list[str]) -> int:
        """Carry out one command line and answer its status. Raises `RefusedError`."""
        commands: dict[str, Callable[[list[str]], int]] = {
            "run": lambda rest: run(self.runtime, self.engine, self.store, rest),
            "inspect": self.inspect,
            "ps": self.ps,
            "stop": self.stop,
            "kill": self.kill,
            "rm": self.remove,
            "image": self.image,
            "network": self.network,
            "info": self.info,
            "system": self.system,
            **({"unshare": self.unshare} if self.runtime == "podman" else {}),
            "version": self.version,
            "--version": self.version,
        }
        if words and words[0] == "container":
            words = words[1:]
            commands["exists"] = self.exists
        if not words or words[0] not in commands:
            what = words[0] if words else ""
            if self.runtime == "docker":
                raise wording.RefusedError(
                    f"docker: '{what}' is not a docker command.\nSee 'docker --help'", 1
                )
            raise wording.RefusedError(f'Error: unrecognized command `podman {what}`\nTry \'podman --help\' for more '
                                       "information")  # fmt: skip
        return commands[words[0]](words[1:])

    def _options(
        self, command: str, words: list[str], takes_value: Iterable[str], switches: Iterable[str]
    ) -> tuple[dict[str, list[str]], list[str]]:
        """Options and the arguments behind them. Raises `RefusedError` for any other option."""
        values, rest, index = dict[str, list[str]](), list[str](), 0
        while index < len(words):
            word = words[index]
            index += 1
            if not word.startswith("-"):
                rest.append(word)
                continue
            name, has_value, value = word.partition("=")
            if name in takes_value:
                if not has_value:
                    if index >= len(words):
                        raise wording.usage(self.runtime, command, f"flag needs an argument: {name}")
                    value = words[index]
                    index += 1
            elif name not in switches:
                raise wording.usage(self.runtime, command, f"unknown flag: {name}")
            values.setdefault(name, []).append(value)
        return values, rest

    def _find(self, command: str, wanted: str) -> Record:
        record = self.store.find(wanted)
        if record is None:
            raise wording.no_container(self.runtime, command, wanted)
        return record

    def _need(self, command: str, wanted: list[str]) -> None:
        if not wanted:
            raise wording.too_few(self.runtime, command, "you must provide at least one name or id")

    def _each(self, command: str, wanted: list[str], act: Callable[[Record], None]) -> int:
        """Do it for all of them, saying each name done; the last refusal's status, as the real ones do."""
        status = 0
        self._need(command, wanted)
        for word in wanted:
            try:
                act(self._find(command, word))
                _say(word)
            except wording.RefusedError as refused:
                sys.stderr.write(refused.line + "\n")
                status = refused.status
        return status

    def inspect(self, words: list[str]) -> int:
        """`inspect [--type container] [-f FORMAT] NAME|ID…`."""
        options, wanted = self._options("inspect", words, ("-f", "--format", "--type", "-t"), ())
        kind = "container" if "--type" in options or "-t" in options else "object"
        found: list[Mapping[str, object]] = []
        for word in wanted:
            record = self.store.find(word)
            if record is None:
                raise self._nothing(kind, word)
            found.append(self.details(record))
        return self._show(options, found)

    def _nothing(self, kind: str, wanted: str) -> wording.RefusedError:
        if self.runtime == "docker":
            _say("")
        return wording.no_object(self.runtime, kind, wanted)

    def _show(self, options: dict[str, list[str]], found: list[Mapping[str, object]]) -> int:
        """Print what `inspect` found, as the format says."""
        form = (options.get("-f") or options.get("--format") or [""])[-1]
        if not form or form == "json":
            _say(json.dumps(found, indent=4))
            return 0
        for each in found:
            _say(self._render(form, each))
        return 0

    def _render(self, form: str, details: Mapping[str, object]) -> str:
        try:
            return template.render(form, details)
        except template.TemplateError as error:
            if self.runtime == "docker" and not error.unreadable:
                _say("")
            raise wording.bad_template(self.runtime, str(error), unreadable=error.unreadable) from error

    def details(self, record: Record) -> dict[str, object]:
        """What `inspect` knows of a container, as far as it is asked for."""
        state = self.store.state(record)
        return {
            "Id": record.id,
            "Name": f"/{record.name}" if self.runtime == "docker" else record.name,
            "Created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created_s)),
            "Image": record.image,
            "ImageName": record.image,
            "State": {
                "Status": state.status,
                "Running": state.status == "running",
                "Paused": False,
                "OOMKilled": False,
                "Dead": False,
                "Pid": state.pid if state.status == "running" else 0,
                "ExitCode": state.exit_code,
                "Error": state.error,
            },
            "Config": {
                "Labels": dict(record.labels),
                "Image": record.image,
                "WorkingDir": record.workdir,
                "Cmd": list(record.argv),
            },
            "HostConfig": {"NetworkMode": record.network, "ReadonlyRootfs": record.read_only},
        }

    def ps(self, words: list[str]) -> int:
        """`ps [-a] [-q] [--no-trunc] [--filter K=V]… [--format FORMAT|json]`."""
        options, _rest = self._options("ps", words, ("--filter", "-f", "--format"), ("-a", "--all", "--no-trunc", "-q",
                                                                                    "-aq", "--quiet"))  # fmt: skip
        everything = any(option in options for option in ("-a", "--all", "-aq"))
        short = "--no-trunc" not in options
        rows: list[dict[str, object]] = []
        for record in self.store.records():
            state = self.store.state(record)
            filters = [*options.get("--filter", []), *options.get("-f", [])]
            if state.status == "removing" or not (everything or state.status == "running"):
                continue
            if all(self._matches(record, state.status, text) for text in filters):
                rows.append(_row(record, state.status, state.exit_code, short=short))
        form = options.get("--format", [""])[-1]
        if {"-q", "--quiet", "-aq"} & set(options):
            form = "{{.ID}}"
        if form == "json":
            _say(json.dumps(rows))
            return 0
        for row in rows:
            _say(self._render(form or "{{.ID}}  {{.Image}}  {{.Status}}  {{.Names}}", row))
        return 0

    def _matches(self, record: Record, status: str, text: str) -> bool:
        kind, _, value = text.partition("=")
        match kind:
            case "label":
                key, has_value, wanted = value.partition("=")
                return key in record.labels and (not has_value or record.labels[key] == wanted)
            case "name":
                return value.strip("^$/") in record.name
            case "id":
                return record.id.startswith(value)
            case "status":
                return status == value
            case _:
                raise wording.RefusedError(f"Error: {kind} is an invalid filter")

    def stop(self, words: list[str]) -> int:
        """`stop [-t SECONDS] NAME|ID…`: SIGTERM, after the time SIGKILL. What does not run is fine already."""
        options, wanted = self._options("stop", words, ("-t", "--time", "--timeout"), ())
        text = next(iter(options.values()), ["10"])[-1]
        if not text.isdecimal():
            raise wording.no_count(self.runtime, "stop", text)
        grace_s = float(text)
        return self._each("stop", wanted, lambda record: self._end(record, grace_s))

    def kill(self, words: list[str]) -> int:
        """`kill [-s SIGNAL] NAME|ID…`."""
        options, wanted = self._options("kill", words, ("-s", "--signal"), ())
        name = next(iter(options.values()), ["KILL"])[-1].upper().removeprefix("SIG")
        number = int(name) if name.isdecimal() else signal.Signals[f"SIG{name}"]

        def act(record: Record) -> None:
            if self.store.state(record).status != "running":
                raise wording.not_running(self.runtime, record.name, record.id)
            self._signal(record, number)
            if number == signal.SIGKILL:
                self._await_end(record, _END_S)

        return self._each("kill", wanted, act)

    def remove(self, words: list[str]) -> int:
        """`rm [-f] [-t SECONDS] NAME|ID…`; with force what isn't there is no error."""
        options, wanted = self._options(
            "rm", words, ("-t", "--time"), ("-f", "--force", "-v", "--volumes", "-fv")
        )
        force = bool({"-f", "--force", "-fv"} & set(options))

        def act(record: Record) -> None:
            if self.store.state(record).status == "running":
                if not force:
                    raise wording.is_running(self.runtime, record.id)
                self._end(record, None if self.runtime == "docker" else 10.0)
            with self.store.locked():
                self.store.remove(record.id)

        self._need("rm", wanted)
        if force:
            gone = [word for word in wanted if self.store.find(word) is None]
            for word in gone if self.runtime == "docker" else ():
                sys.stderr.write(wording.no_container("docker", "rm", word).line + "\n")
            wanted = [word for word in wanted if word not in gone]
            if not wanted:
                return 0
        return self._each("rm", wanted, act)

    def exists(self, words: list[str]) -> int:
        """`container exists NAME|ID`: status 0 or 1."""
        return 0 if words and self.store.find(words[0]) else 1

    def image(self, words: list[str]) -> int:
        """`image exists IMAGE` (podman only), `image inspect [-f FORMAT] IMAGE`."""
        if (
            not words
            or words[0] not in ("exists", "inspect")
            or (words[0] == "exists" and self.runtime == "docker")
        ):
            raise wording.usage(
                self.runtime, "image", f"unrecognized command `{self.runtime} image {words[:1]}`"
            )
        options, wanted = self._options("image", words[1:], ("-f", "--format"), ())
        there = bool(wanted) and has_image(self.engine, wanted[0])
        if words[0] == "exists":
            return 0 if there else 1
        if not there:
            raise self._nothing("image", wanted[0])
        environment = [f"{name}={value}" for name, value in self.engine.environment.items()]
        details = {
            "Id": "5" * 64,
            "RepoTags": [wanted[0]],
            "Config": {"Env": environment, "WorkingDir": "/workspace"},
        }
        return self._show(options, [details])

    def network(self, words: list[str]) -> int:
        """`network exists NAME` (podman only), `network inspect [-f FORMAT] NAME`."""
        if (
            not words
            or words[0] not in ("exists", "inspect")
            or (words[0] == "exists" and self.runtime == "docker")
        ):
            raise wording.usage(
                self.runtime, "network", f"unrecognized command `{self.runtime} network {words[:1]}`"
            )
        options, wanted = self._options("network", words[1:], ("-f", "--format"), ())
        there = bool(wanted) and wanted[0] in self.engine.networks
        if words[0] == "exists":
            return 0 if there else 1
        if not there:
            raise self._nothing("network", wanted[0])
        details = {
            "Name": wanted[0],
            "name": wanted[0],
            "Id": "7" * 64,
            "Driver": "bridge",
            "driver": "bridge",
            **_SUBNETS[self.runtime],
        }
        return self._show(options, [details])

    def unshare(self, _words: list[str]) -> int:
        """`unshare --rootless-netns COMMAND…`: no container here has a network of its own to enter."""
        if os.getuid() == 0:
            raise wording.RefusedError("Error: please use unshare with rootless")
        raise wording.RefusedError("Error: the sandbox's containers have no network namespace of their own")

    def info(self, words: list[str]) -> int:
        """`info [-f FORMAT]`."""
        options, _rest = self._options("info", words, ("-f", "--format"), ())
        rootless = os.getuid() != 0
        details: dict[str, object] = {
            "ServerVersion": "20.10.24",
            "Version": {"Version": "4.3.1"},
            "Host": {"Security": {"Rootless": rootless}, "CgroupsVersion": "v2"},
            "host": {"security": {"rootless": rootless}},
            "SecurityOptions": ["name=rootless"] if rootless else [],
        }
        form = (options.get("-f") or options.get("--format") or [""])[-1]
        _say(self._render(form, details) if form and form != "json" else json.dumps(details, indent=4))
        return 0

    def system(self, words: list[str]) -> int:
        """`system migrate` (podman only): its namespace is made anew. Here there is none to make."""
        if self.runtime == "docker" or words != ["migrate"]:
            raise wording.usage(
                self.runtime, "system", f"unrecognized command `{self.runtime} system {words[:1]}`"
            )
        return 0

    def version(self, words: list[str]) -> int:
        """`version`, `--version`; `version --format {{.Client.Version}}`."""
        options, _rest = self._options("version", words, ("-f", "--format"), ())
        number = "20.10.24" if self.runtime == "docker" else "4.3.1"
        if options:
            return self._show(options, [{"Client": {"Version": number}, "Server": {"Version": number}}])
        _say(f"{'Docker' if self.runtime == 'docker' else 'podman'} version {number}")
        return 0

    def _end(self, record: Record, grace_s: float | None) -> None:
        """Ask first, unless there is no time to answer."""
        if self.store.state(record).status != "running":
            return
        if grace_s is not None:
            self._signal(record, signal.SIGTERM)
        if grace_s is None or not self._await_end(record, grace_s):
            self._signal(record, signal.SIGKILL)
            self._await_end(record, _END_S)

    def _signal(self, record: Record, number: int) -> None:
        state = self.store.state(record)
        if state.pid and process_start(state.pid) == state.pid_start:
            os.kill(state.pid, number)

    def _await_end(self, record: Record, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self.store.state(record).status == "running":
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True


def _row(record: Record, status: str, exit_code: int, *, short: bool) -> dict[str, object]:
    words = {"running": "Up", "created": "Created"}.get(status, f"Exited ({exit_code})")
    return {
        "ID": record.id[:12] if short else record.id,
        "Id": record.id,
        "Names": record.name,
        "Image": record.image,
        "State": status,
        "Status": words,
        "ExitCode": exit_code,
        "Labels": dict(record.labels),
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")

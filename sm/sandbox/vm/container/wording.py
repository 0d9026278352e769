"""What podman 4 and docker say when they refuse, and the status they end with (125 unless said otherwise)."""

from __future__ import annotations

import os


class RefusedError(Exception):
    """The command ends with this line on stderr and this status."""

    def __init__(self, line: str, status: int = 125) -> None:
        super().__init__(line)
        self.line = line
        self.status = status


def usage(runtime: str, command: str, text: str) -> RefusedError:
    """An argument was wrong."""
    if runtime == "docker":
        return RefusedError(f"{text}\nSee 'docker {command} --help'.")
    return RefusedError(
        f"Error: {text}\nSee 'podman {command} --help'" if "flag" in text else f"Error: {text}"
    )


def daemon(text: str, status: int = 125) -> RefusedError:
    """What docker's client passes on of its daemon while it runs a container."""
    return RefusedError(f"docker: Error response from daemon: {text}", status)


_SYNOPSES = {
    "run": ("docker run [OPTIONS] IMAGE [COMMAND] [ARG...]", "Run a command in a new container"),
    "stop": ("docker stop [OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers"),
    "rm": ("docker rm [OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers"),
    "kill": ("docker kill [OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers"),
}


def too_few(runtime: str, command: str, podmans: str) -> RefusedError:
    """Nothing was named to act on."""
    if runtime == "docker" and command in _SYNOPSES:
        line, what = _SYNOPSES[command]
        return RefusedError(
            f"\"docker {command}\" requires at least 1 argument.\nSee 'docker {command} --help'.\n\nUsage:  {line}\n\n{what}",
            1,
        )
    return usage(runtime, command, podmans)


def no_command(runtime: str) -> RefusedError:
    """Neither the image nor the line says what to run."""
    if runtime == "docker":
        return daemon("No command specified.")
    return RefusedError("Error: no command or entrypoint provided, and no CMD or ENTRYPOINT from image")


def no_cidfile(runtime: str, path: str) -> RefusedError:
    """The folder of the file for the id is not there."""
    if runtime == "docker":
        return RefusedError(
            f"docker: failed to create the container ID file: open {path}: no such file or directory.", 127
        )
    return RefusedError(f"Error: opening cidfile {path}")


def no_workdir(path: str, container_id: str) -> RefusedError:
    """Podman's alone: docker makes the folder."""
    return RefusedError(f'Error: workdir "{path}" does not exist on container {container_id}', 126)


def no_user_namespace(runtime: str, mode: str) -> RefusedError | None:
    """Docker knows no `--userns=keep-id`, and podman has it for rootless containers only."""
    if runtime == "docker":
        return None if mode == "host" else RefusedError("docker: --userns: invalid USER mode.")
    if mode == "keep-id" and os.getuid() == 0:
        return RefusedError("Error: keep-id is only supported in rootless mode")
    return None


def cidfile_exists(runtime: str, path: str) -> RefusedError:
    """The file for the id is there already."""
    if runtime == "docker":
        return RefusedError(
            f"docker: container ID file found, make sure the other container isn't running or delete {path}."
        )
    return RefusedError(
        f"Error: container id file exists. Ensure another container is not using it or delete {path}"
    )


def no_image(runtime: str, image: str) -> RefusedError:
    """`--pull=never` and no such image."""
    if runtime == "docker":
        return RefusedError(f"docker: Error response from daemon: No such image: {image}.")
    return RefusedError(f"Error: {image}: image not known")


def no_network(runtime: str, network: str) -> RefusedError:
    """No such network."""
    if runtime == "docker":
        return RefusedError(f"docker: Error response from daemon: network {network} not found.")
    return RefusedError(f"Error: unable to find network with name or ID {network}: network not found")


def name_in_use(runtime: str, name: str, holder: str) -> RefusedError:
    """Another container has the name."""
    if runtime == "docker":
        return RefusedError(
            f'docker: Error response from daemon: Conflict. The container name "/{name}" is already in use by container '
            f'"{holder}". You have to remove (or rename) that container to be able to reuse that name.'
        )
    return RefusedError(
        f'Error: creating container storage: the container name "{name}" is already in use by {holder}. You have to '
        "remove that container to be able to reuse that name: that name is already in use"
    )


def not_started(runtime: str, argv0: str, error: str, code: int) -> RefusedError:
    """The command could not be executed: 127 when it isn't there, 126 when it can't be run, 125 otherwise."""
    why = error
    if code == 127:
        there = f"stat {argv0}: no such file or directory"
        why = there if "/" in argv0 else "executable file not found in $PATH"
    elif code == 126:
        why = error.lower()
    text = f'unable to start container process: exec: "{argv0}": {why}'
    if runtime == "docker":
        return daemon(
            f"failed to create shim task: OCI runtime create failed: runc create failed: {text}: unknown.",
            code,
        )
    ends = {
        127: ": OCI runtime attempted to invoke a command that was not found",
        126: ": OCI permission denied",
    }
    return RefusedError(f"Error: runc: runc create failed: {text}{ends.get(code, '')}", code)


def no_object(runtime: str, kind: str, wanted: str) -> RefusedError:
    """`inspect` found nothing. Docker has printed an empty line by then."""
    if runtime == "docker":
        return RefusedError(f"Error: No such {kind}: {wanted}", 1)
    texts = {
        "object": f'no such object: "{wanted}"',
        "container": f"no such container {wanted}",
        "image": f"{wanted}: image not known",
        "network": f"network {wanted}: unable to find network with name or ID {wanted}: network not found",
    }
    return RefusedError(f"Error: inspecting object: {texts[kind]}")


def no_container(runtime: str, command: str, wanted: str) -> RefusedError:
    """No container of this name or id."""
    if runtime == "docker":
        texts = {
            "rm": f"Error: No such container: {wanted}",
            "kill": f"Error response from daemon: Cannot kill container: {wanted}: No such container: {wanted}",
        }
        return RefusedError(texts.get(command, f"Error response from daemon: No such container: {wanted}"), 1)
    status = 1 if command == "rm" else 125
    return RefusedError(f'Error: no container with name or ID "{wanted}" found: no such container', status)


def no_count(runtime: str, command: str, text: str) -> RefusedError:
    """A number was wanted."""
    parse = "ParseInt" if runtime == "docker" else "ParseUint"
    return usage(runtime, command, f'invalid argument "{text}" for "-t, --time" flag: strconv.{parse}: parsing "{text}": '
                                   "invalid syntax")  # fmt: skip


def bad_template(runtime: str, text: str, *, unreadable: bool) -> RefusedError:
    """`--format` could not be read, or names what is not there."""
    if runtime == "docker":
        return RefusedError(f"template parsing error: template: :1: {text}", 64 if unreadable else 1)
    before = "" if unreadable else "inspecting object: printing inspect output: "
    return RefusedError(f"Error: {before}template: inspect:1: {text}")


def is_running(runtime: str, container_id: str) -> RefusedError:
    """`rm` without force on a running container."""
    if runtime == "docker":
        return RefusedError(
            f"Error response from daemon: You cannot remove a running container {container_id}. Stop the container before "
            "attempting removal or force remove",
            1,
        )
    return RefusedError(
        f"Error: cannot remove container {container_id} as it is running - running or paused containers cannot be "
        "removed without force: container state improper",
        2,
    )


def not_running(runtime: str, wanted: str, container_id: str) -> RefusedError:
    """`kill` on a container that does not run."""
    if runtime == "docker":
        return RefusedError(
            f"Error response from daemon: Cannot kill container: {wanted}: Container {container_id} is not running",
            1,
        )
    return RefusedError(
        f"Error: can only kill running containers. {container_id} is in state exited: container state improper"
    )

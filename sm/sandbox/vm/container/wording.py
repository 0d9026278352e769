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
    if code == 127:
        if runtime == "docker":
            text = f'exec: "{argv0}": executable file not found in $PATH: unknown.'
            return RefusedError(
                f"docker: Error response from daemon: failed to create task for container: {text}", code
            )
        return RefusedError(
            f'Error: runc: runc create failed: unable to start container process: exec: "{argv0}": executable file '
            "not found in $PATH: OCI runtime attempted to invoke a command that was not found",
            code,
        )
    who = "docker: Error response from daemon:" if runtime == "docker" else "Error:"
    return RefusedError(f"{who} unable to start container process: {error}", code)


def no_container(runtime: str, command: str, wanted: str) -> RefusedError:
    """No container of this name or id."""
    if runtime == "docker":
        return RefusedError(f"Error response from daemon: No such container: {wanted}", 1)
    if command == "inspect":
        return RefusedError(f'Error: no such object: "{wanted}"', 125)
    if command == "rm":
        return RefusedError(f'Error: no container with ID or name "{wanted}" found: no such container', 1)
    return RefusedError(f'Error: no container with name or ID "{wanted}" found: no such container')


def is_running(runtime: str, name: str, container_id: str) -> RefusedError:
    """`rm` without force on a running container."""
    if runtime == "docker":
        return RefusedError(
            f'Error response from daemon: cannot remove container "/{name}": container is running: stop the container '
            "before removing or force remove",
            1,
        )
    return RefusedError(
        f"Error: cannot remove container {container_id} as it is running - running or paused containers cannot be "
        "removed without force: container state improper",
        2,
    )


def not_running(runtime: str, wanted: str) -> RefusedError:
    """`kill` on a container that does not run."""
    if runtime == "docker":
        return RefusedError(
            f"Error response from daemon: cannot kill container: {wanted}: container {wanted} is not running",
            1,
        )
    return RefusedError(
        f"Error: can only kill running containers. {wanted} is in state exited: container state improper"
    )

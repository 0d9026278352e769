"""A stand-in for podman and docker: the argument lists that the service sends, answered with real processes.

`python -m sm.sandbox.vm.container podman run …` is what the executables `podman` and `docker` of the sandbox's VM call.
A container is a process tree in namespaces of its own as far as the kernel allows it; `store` keeps the records,
`commands` answers, `monitor` watches over one container as conmon does, `start` is what becomes the container.
"""

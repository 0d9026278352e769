"""A VM on loopback: an SSH server, the VM user's home, and podman and docker as far as the service needs them."""

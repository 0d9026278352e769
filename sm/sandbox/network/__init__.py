"""What lies between a container and the sandbox's internet: names, the gate, a package index."""

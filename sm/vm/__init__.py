"""The agent's VM over SSH: connections, containers, git, the generation's files."""

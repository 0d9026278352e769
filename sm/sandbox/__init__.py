"""Loopback peers for the demo and the tests: a Mattermost, a VM, an OPNsense, an agent."""

"""The OPNsense alias: a client for the flow that works, and nothing else of the firewall."""

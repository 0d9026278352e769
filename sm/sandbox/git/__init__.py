"""The sandbox's github.com: real git behind a loopback server, and the way to it through the firewall."""

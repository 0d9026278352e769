"""An OPNsense on loopback: the alias API with its traps, and the tables that come of it."""

"""The pure centre: events, commands, the state tables and the fold. Imports nothing of ours and does no I/O."""

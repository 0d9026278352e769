"""What an operator asks about the VM before trusting it: is the agents' network closed, and which rules close it."""

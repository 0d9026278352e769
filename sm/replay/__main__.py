"""`python -m sm.replay` is `sm-replay`."""

from sm.replay.cli import main

main()

"""`python -m sm` is `sm`."""

from sm.cli import main

main()

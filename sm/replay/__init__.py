"""sm-replay: reads journals, shows and verifies them; can act on nothing."""

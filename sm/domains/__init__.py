"""`sm domains check`: what the service makes of names, said without a service."""

"""The HTTP listener: the card's callback, health and readiness."""

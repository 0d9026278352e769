"""Effectors: one function a kind of command; each carries it out at a neighbour and answers what came of it."""

"""The agent: a scripted Messages API, and a stand-in for its CLI."""

"""The example conversation, played and checked; and the prompt after it."""

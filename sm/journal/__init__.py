"""The SQLite journal: append, outbox, scan; hash chain; masking; the claim of the one writer."""

"""What an administrator runs: the parts of the server, housekeeping, retention, backup."""

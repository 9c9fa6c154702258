"""Mails: the outbox, what they say, and the way out by SMTP."""

"""How often somebody may do something: a bucket of tokens for each, refilled steadily."""

from __future__ import annotations

import time

__all__ = ["Rate", "WrongPasswords"]

MOST_KEPT = 10_000


class Rate:
    """At most so many in a minute for each key, with as many at once.

    Parameters
    ----------
    per_minute : tokens that a bucket holds, and gets in a minute

    Notes
    -----
    Kept in the memory of the one process that serves the pages: a restart fills all buckets.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, *, take: bool = True) -> float:
        """Take a token; return 0, or how long until there is one, s, having taken none.

        Parameters
        ----------
        take : whether to take it, or only to look
        """
        now = time.monotonic()
        tokens, then = self._buckets.pop(key, (float(self.per_minute), now))
        tokens = min(self.per_minute, tokens + (now - then) * self.per_minute / 60.0)
        wait = max(0.0, (1.0 - tokens) * 60.0 / self.per_minute)
        left = tokens - 1.0 if take and not wait else tokens
        self._buckets[key] = (left, now)  # last used, last in order
        if len(self._buckets) > MOST_KEPT:
            del self._buckets[next(iter(self._buckets))]
        return wait


class WrongPasswords:
    """How many wrong passwords there may be: for an account from an address, and for each alone.

    Parameters
    ----------
    per_minute : for one account from one address; others at that address go on
    most_per_minute : from one address over all accounts, and for one account from all addresses
    """

    def __init__(self, per_minute: int, most_per_minute: int) -> None:
        self._both = Rate(per_minute)
        self._each = Rate(most_per_minute)

    def wait_s(self, email: str, address: str) -> float:
        """Return how long until another try, s; 0 for at once."""
        return max(rate.wait_s(key, take=False) for rate, key in self._buckets(email, address))

    def add(self, email: str, address: str) -> None:
        """Count a wrong password."""
        for rate, key in self._buckets(email, address):
            rate.wait_s(key)

    def _buckets(self, email: str, address: str) -> list[tuple[Rate, str]]:
        account = email.strip().lower()[:254]
        return [
            (self._both, f"{account} from {address}"),
            (self._each, f"from {address}"),
            (self._each, f"for {account}"),
        ]

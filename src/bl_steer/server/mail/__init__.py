"""Mails: what they say (`messages`), where they wait (`outbox`), and the way out (`smtp`)."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

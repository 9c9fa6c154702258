"""A signal that plans set: it takes a set while another is under way, and carries it out after it.

Ophyd's signals refuse that. But a pause of the RunEngine ends no set, and the resumed plan repeats
it, with the same value or with the one before: it would end in an error about half the time.
"""

from __future__ import annotations

import copy
import functools
import threading
from typing import Any

from ophyd import Component, Signal
from ophyd.status import Status, StatusBase

__all__ = ["Setting"]


class Setting(Component):
    """The component of a signal whose sets wait for each other.

    It takes the place of `ophyd.Component`; the signal may be any, `ophyd.sim.make_fake_device`'s
    fake ones too.
    """

    def create_component(self, instance: Any) -> Signal:
        """Create the signal, as an attribute of `instance`."""
        component = copy.copy(self)
        component.cls = _in_turn(self.cls)
        return super(Setting, component).create_component(instance)


@functools.cache
def _in_turn(kind: type[Signal]) -> type[Signal]:
    return type(kind.__name__, (_InTurn, kind), {})


class _InTurn(Signal):
    """A signal of which one set is carried out after the other, in the order of the calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn = threading.Lock()
        self._latest: StatusBase | None = None

    def set(self, value: Any, **kwargs: Any) -> StatusBase:
        """Set the signal, after the set that is under way; see `ophyd.Signal.set`."""
        with self._turn:
            before = self._latest
            if before is None or before.done:
                self._latest = super().set(value, **kwargs)
                return self._latest
            status = self._latest = Status(self)

        def begin(_: StatusBase) -> None:
            try:
                super(_InTurn, self).set(value, **kwargs).add_callback(end)
            except Exception as error:
                status.set_exception(error)

        def end(own: StatusBase) -> None:
            if (error := own.exception()) is None:
                status.set_finished()
            else:
                status.set_exception(error)

        before.add_callback(begin)
        return status

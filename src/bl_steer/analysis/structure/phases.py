"""Names of the phases of a label volume, in their written form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["parse_phases"]


def parse_phases(phases: str | Sequence[str] | Mapping[str, str] | None) -> dict[int, str] | None:
    """Return names by label; None where none are given.

    Parameters
    ----------
    phases : ``"oxide,carbon,void"`` for the labels 0, 1, 2; ``"1:oxide,2:carbon"``; a list of names
        from label 0 on; or names by label

    Raises
    ------
    ValueError
        When a name is missing, a label is no whole number 0 … 255, or one comes twice.

    Examples
    --------
    >>> parse_phases("oxide,carbon,void")
    {0: 'oxide', 1: 'carbon', 2: 'void'}
    >>> parse_phases("1:oxide, 7:void")
    {1: 'oxide', 7: 'void'}
    """
    if not phases:
        return None
    if isinstance(phases, Mapping):
        parts = [f"{label}:{name}" for label, name in phases.items()]
    else:
        parts = phases.split(",") if isinstance(phases, str) else list(phases)
    named: dict[int, str] = {}
    for number, part in enumerate(parts):
        label, _, name = part.partition(":") if ":" in part else (str(number), ":", part)
        label, name = label.strip(), name.strip()
        if not (label.isdecimal() and int(label) < 256 and name) or int(label) in named:
            raise ValueError(
                "phases must be NAME,NAME,… or LABEL:NAME,… with different labels 0 … 255, got "
                f"{part!r} in {','.join(parts)!r}; try oxide,carbon,void"
            )
        named[int(label)] = name
    return named

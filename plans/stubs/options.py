"""Options that several plans share, checked before anything moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from typing import Any

from bl_steer.diffraction.recorded import mask_record
from bl_steer.features import check_targets
from bl_steer.files import read_pixel_mask
from bl_steer.runs import Run
from bl_steer.steering import StopRule, carried_options, check_batch

__all__ = [
    "DECIDED",
    "batch_option",
    "check_several",
    "checked_timeout",
    "is_whole_number",
    "least_counts",
    "mask_option",
    "options_of",
    "pareto_option",
    "rules_of",
    "stop_option",
    "target_option",
    "versions",
]

JUDGED = ("watchful", "masks", "rays", "overflows", "careful", "even")
"""Rules by which a point is judged, as the start document has them."""
DECIDED = (
    "exact",
    "explores",
    "gives_up",
    "noise_per_point",
    "scales",
    "selects",
    "sparing",
    "sums",
    "textured",
)
"""Rules by which the next point is decided."""
PACKAGES = ("botorch", "gpytorch", "torch", "scikit-learn", "numpy")


def options_of(
    resumes: Run | None, plan: str, defaults: Mapping[str, Any], **given: Any
) -> dict[str, Any]:
    """Return a plan's options: as given or by default, and those of a run that is carried on.

    Parameters
    ----------
    resumes : the run to carry on; None for a new one
    plan : its name
    defaults : of options that are None where they are left out
    given : the options

    Raises
    ------
    bl_steer.steering.ResumeError
        For a run that cannot be carried on, and options that contradict it.
    """
    if resumes is not None:
        return carried_options(resumes, plan, given)
    return {name: defaults.get(name) if v is None else v for name, v in given.items()}


def mask_option(mask: Any) -> dict[str, Any] | None:
    """Return a mask of pixels, an array or a file, as the start document has it."""
    return None if mask is None else mask_record(read_pixel_mask(mask))


def target_option(target: Any) -> Any:
    """Return one target, a list of several, or None, as the start document has it.

    Raises
    ------
    TypeError, ValueError
        For what is no text, and for targets that cannot be sought together.
    """
    if target is None or isinstance(target, str):
        return target
    if not isinstance(target, Sequence) or not all(isinstance(text, str) for text in target):
        raise TypeError(
            f"target must be a text or a list of texts, got {target!r}; try target='total'"
        )
    if len(target) == 1:
        return target[0]
    check_targets(target)
    return list(target)


def pareto_option(pareto: Any, target: Any, agent: Any, stop: Any) -> bool | None:
    """Return whether the places are sought that no other one beats; None for one target.

    Parameters
    ----------
    pareto : the option, None where it is left out
    target, agent, stop : the options of these names, as the run has them

    Raises
    ------
    ValueError
        For what is no truth value, and for options that it does not go with.
    """
    if pareto not in (None, False, True):
        raise ValueError(f"pareto must be True or False, got {pareto!r}; try pareto=True")
    if not isinstance(target, list):
        if pareto:
            raise ValueError(
                f"pareto must come with several targets, got {target!r}; give a list of them "
                "(--target more than once), or leave pareto out"
            )
        return None
    if pareto and (len(target) > 3 or agent != "bayesian" or stop is not None):
        raise ValueError(
            "pareto must have two or three targets, agent='bayesian' and no rule stop, got "
            f"{len(target)}, {agent!r} and {stop!r}; leave out what is too much"
        )
    return bool(pareto)


def check_several(agent: Any, exposure: Any, seen: Any) -> None:
    """Refuse what several targets cannot have."""
    given = {
        "agent": None if isinstance(agent, str) else agent,
        "exposure": exposure and "adaptive",
        "seen": seen,
    }
    if problems := [f"{name}={value!r}" for name, value in given.items() if value]:
        raise ValueError(
            "several targets must have agents by their name, one exposure time and no earlier "
            f"runs, got {', '.join(problems)}; leave it out, or search for one after another"
        )


def batch_option(batch: Any, target: Any, agent: Any, exposure: Any) -> int:
    """Return how many points are decided together.

    Parameters
    ----------
    batch : the option, None where it is left out
    target, agent, exposure : the options of these names, as the run has them

    Raises
    ------
    ValueError
        For what is no number of points, and for options that it does not go with.
    """
    together = 1 if batch is None else check_batch(batch)
    if together > 1 and (isinstance(target, list) or agent == "botorch" or exposure is not None):
        raise ValueError(
            "batch must come with one target, one exposure time and an agent that knows of points "
            f"on their way, got {batch!r} with {target!r}, {exposure!r} and {agent!r}; leave it out"
        )
    return together


def stop_option(stop: str | None) -> str | None:
    """Return the rule of a stop as the start document has it."""
    return None if stop is None else str(StopRule.parse(stop))


def rules_of(resumes: Run | None, names: Sequence[str] = JUDGED) -> dict[str, bool]:
    """Return by which rules points are judged: today's, or those of a run that is carried on.

    A start document without one is of a version that did not have it.

    Parameters
    ----------
    names : `JUDGED` or `DECIDED`
    """
    return {name: resumes is None or bool(resumes.steering.get(name)) for name in names}


def is_whole_number(value: object) -> bool:
    """Return whether a value is a whole number, of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def versions() -> dict[str, str]:
    """Return the versions that a run's decisions depend on, for its start document."""
    return {"bl_steer": _version("bl-steer"), **{name: _version(name) for name in PACKAGES}}


def checked_timeout(timeout_s: Any) -> float | None:
    """Return the time-out of each wait, s; refuse what is no time."""
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, Real) and not isinstance(timeout_s, bool)
    if not is_number or not 0.0 < timeout_s < math.inf:
        raise ValueError(
            f"timeout_s must be a time above 0, s, got {timeout_s!r}; leave it out for one from "
            "the devices' own numbers"
        )
    return float(timeout_s)


def least_counts(min_monitor: Any, monitor: Any) -> float | None:
    """Return the least monitor counts of an exposure with beam; refuse what is no count."""
    if min_monitor is None:
        return None
    is_number = isinstance(min_monitor, Real) and not isinstance(min_monitor, bool)
    if not is_number or not 0.0 <= min_monitor < math.inf:
        raise ValueError(
            f"min_monitor must be counts, 0 or more, got {min_monitor!r}; leave it out for a tenth "
            "of the run's usual counts"
        )
    if monitor is None:
        raise ValueError(
            f"min_monitor must come with a monitor, got {min_monitor!r} without; give monitor=…"
        )
    return float(min_monitor)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"

"""Analyses that run after a measurement: one contract, the same result wherever they run.

Each is a package: ``analysis`` has the class of the contract, ``checks`` its warnings, ``figures``
what it draws, and ``from_files``, where there is one, its inputs and results as files. What an
analysis is, `bl_steer.protocols.Analysis` says; what carries it out and stores its result is
`bl_steer.processing`, whose names for users are offered here too.
"""

from typing import TYPE_CHECKING, Any

from bl_steer import processing

if TYPE_CHECKING:  # at run time `__getattr__` finds them, and importing this package stays light
    from bl_steer.processing import (
        AnalysisFailed,
        Request,
        analyses_of,
        analysis_names,
        digest_of,
        find_analysis,
        is_analysis,
        make_params,
        open_analysis,
        pending_analyses,
        requests_of,
    )

__all__ = [
    "AnalysisFailed",
    "Request",
    "analyses_of",
    "analysis_names",
    "digest_of",
    "find_analysis",
    "is_analysis",
    "make_params",
    "open_analysis",
    "pending_analyses",
    "requests_of",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(processing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Analyses that run after a measurement: one contract, the same result wherever they run.

Each has a room of its own: ``analysis`` (the contract's class), ``from_files`` (its inputs as
files), ``checks`` (its warnings) and ``figures``. What an analysis is,
`bl_steer.protocols.Analysis` says; what carries it out and stores its result is
`bl_steer.processing`, whose names for users are offered here too.
"""

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

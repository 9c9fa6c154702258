"""Analyses that run after a measurement: one contract, the same result wherever they run.

A run asks for them with ``md={"analyses": ["components"]}``; `Session` has them carried out in a
process of their own, and each result is stored as a run that names the raw run. What an analysis
is, `bl_steer.protocols.Analysis` says.
"""

from bl_steer.analysis.digest import digest_of
from bl_steer.analysis.publish import AnalysisFailed, is_analysis, open_analysis, publish
from bl_steer.analysis.registry import analysis_names, find_analysis, make_params
from bl_steer.analysis.requests import Request, analyses_of, pending_analyses, requests_of

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
    "publish",
    "requests_of",
]

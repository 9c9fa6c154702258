"""The RunEngine of a session: where its runs go, and what may stand in their start documents."""

from __future__ import annotations

import logging
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from bluesky import RunEngine
from bluesky.utils import SigintHandler

from bl_steer.processing import check_requests
from bl_steer.session.ctrl_c import CtrlC
from bl_steer.steering import check_samples
from bl_steer.store import Store, as_json, check_reserved, check_storable, merge_sample

__all__ = ["end_run_engine", "make_run_engine"]

BLUESKYS_OWN = frozenset({"scan_id", "versions"})
"""Reserved keys that the RunEngine itself puts into ``RE.md``."""
ENDS_WITHIN_S = 60.0
"""For the thread of a RunEngine to end, on a busy machine: a loop that runs cannot be closed."""


def make_run_engine(
    store: Store,
    sample: Mapping[str, Any],
    ctrl_c: CtrlC,
    *,
    analyses: bool,
    at_rest: Callable[[], None],
) -> RunEngine:
    """Return a RunEngine that stores its runs and counts on in the store's scan ids.

    Parameters
    ----------
    sample : what is known of it, for the start document of each run
    ctrl_c : waits for the plan, and notes whether it was pressed
    analyses : refuse runs that ask for analyses that do not exist
    at_rest : called, in the thread of whoever called RE, before it returns; Ctrl-C interrupts it
    """

    @contextmanager
    def then_at_rest(_: RunEngine) -> Iterator[None]:
        try:
            yield
        finally:
            at_rest()

    metadata: Any = store.metadata  # a mapping that lasts; Bluesky asks for a dict, and needs none
    run_engine = RunEngine(
        metadata,
        call_returns_result=not _serves_queue(),
        # Bluesky's, which takes Ctrl-C for a pause, is left before ours is.
        context_managers=[then_at_rest, SigintHandler, ctrl_c.noted],
        during_task=ctrl_c,
        scan_id_source=store.metadata.next_scan_id,
        md_validator=_no_check,
        md_normalizer=partial(_begin_run, store, sample, analyses),
    )
    store.subscribe_to(run_engine, waits=False)
    # One line for a failed run is enough: the exception itself reaches whoever called RE.
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    return run_engine


def end_run_engine(run_engine: RunEngine) -> None:
    """End a RunEngine's thread and close its loop, which Bluesky leaves to the interpreter."""
    loop = run_engine.loop
    if loop.is_closed():
        return
    loop.call_soon_threadsafe(loop.stop)
    run_engine._th.join(timeout=ENDS_WITHIN_S)
    loop.close()


def _serves_queue() -> bool:
    """Return whether this process is the worker of a queue server.

    It sends what RE returns to its manager, which has half a second to load it and gives the plan
    up for failed if that means to import ours: there RE returns the uids, as Bluesky's own does.
    """
    server = sys.modules.get("bluesky_queueserver")  # which its worker has loaded before us
    return server is not None and bool(server.is_re_worker_active())


def _no_check(md: Mapping[str, Any]) -> None:
    """Leave the checks to `_begin_run`, which the RunEngine calls next."""


def _begin_run(
    store: Store, sample: Mapping[str, Any], analyses: bool, md: ChainMap[str, Any]
) -> dict[str, Any]:
    """Return the start document's metadata; what is refused uses up no scan id.

    Refused is what could not be stored exactly, a reserved key, and a request for analyses or
    parameters that do not exist, and a search that is told of runs of another sample.
    """
    try:
        check_storable(md, "the run's metadata")
        if analyses:
            check_requests(md)
        start = _merge_start(sample, md)
        check_samples(start)
        return start
    except Exception:  # whatever refuses the run; it is raised on
        store.metadata.give_back(md.maps[-1]["scan_id"])
        raise


def _merge_start(sample: Mapping[str, Any], md: ChainMap[str, Any]) -> dict[str, Any]:
    """Return a run's metadata with all that is said of the sample, as they are stored.

    Parameters
    ----------
    sample : what the instrument knows
    md : of the call of RE, the plan, the RunEngine, and ``RE.md``: the first wins
    """
    call, *_, lasting = md.maps
    check_reserved(call, "RE(plan, …)")
    check_reserved({key: lasting[key] for key in lasting.keys() - BLUESKYS_OWN}, "RE.md")
    for level in reversed(md.maps):
        if "sample" in level:
            sample = merge_sample(sample, level["sample"])
    return as_json({**md, "sample": sample} if sample else md)

"""The same jobs on a dask cluster: a scheduler and a worker on loopback."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest

from bl_steer.analysis import Request, open_analysis
from bl_steer.processing.runner import AnalysisRunner, make_executor
from bl_steer.runs import open_run
from bl_steer.store import Store


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            dashboard_address="127.0.0.1:0",
            protocol="tcp",
            host="127.0.0.1",
        ) as cluster:
            yield cluster.scheduler_address


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_results_and_outlives_a_killed_job(
    address: str, store: Store, measured: Callable[..., str], own_analyses: Callable[[str], str]
) -> None:
    raw = measured()
    runner = AnalysisRunner(store, make=lambda: make_executor(address), time_limit_s=60.0)
    killed = runner.submit(Request(raw, own_analyses("IsKilled")))
    good = runner.submit(Request(raw, own_analyses("SumCounts")))
    assert open_analysis(store, good.result(60)).tables["sum"]["total"] == [6.5]
    assert "SIGKILL" in open_run(store, killed.result(60)).stop["reason"]
    assert runner.close()


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from bl_steer.processing.executors import dask_cluster

    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.5)
    with pytest.raises(OSError, match=r"must answer, got .* from tcp://127.0.0.1:9"):
        make_executor("tcp://127.0.0.1:9")

"""Where runs are done: in processes of this machine, or as jobs of a cluster."""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from equiscope_studies.choices import one_of

CLUSTERS = ("slurm", "local")


@runtime_checkable
class Submitted(Protocol):
    """What an executor gives back for a call: a future of `concurrent.futures`, or a job of submitit."""

    def result(self) -> Any:
        """The call's value, when it is there; the call's exception otherwise."""


@runtime_checkable
class Executor(Protocol):
    """Any executor of `concurrent.futures`, or of submitit."""

    def submit(self, fn: Any, /, *args: Any) -> Submitted:
        """Have `fn(*args)` done, somewhere."""


class Processes(ThreadPoolExecutor):
    """So many processes of this machine: a new one for each call.

    A process that is killed, for want of memory for example, takes no other call with it, as in a pool it would.
    """

    def submit(self, fn: Any, /, *args: Any) -> Future[Any]:  # type: ignore[override]  # calls without keywords suffice
        """Have `fn(*args)` done in a process of its own."""
        return super().submit(_in_a_process, fn, *args)


def _in_a_process(call: Any, *args: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        return own.submit(call, *args).result()


def cluster(kind: str, folder: Path, options: dict[str, Any] | None = None) -> Executor:
    """Jobs of a cluster by submitit: "slurm", or "local" for processes of this machine, with their logs in a folder."""
    try:
        import submitit
    except ImportError as error:
        raise ValueError("submitit is not installed: pip install 'equiscope[cluster]'.") from error
    executor = submitit.AutoExecutor(folder=folder, cluster=kind)
    executor.update_parameters(**({"name": "equiscope"} | (options or {})))
    return executor


@contextmanager
def executor(workers: int, kind: str | None, folder: Path, options: dict[str, Any]) -> Iterator[Executor | None]:
    """What does the runs: this process (None), several, or a cluster, with a folder for its logs and its options.

    ValueError where these do not go together.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, but at least one is needed.")
    if kind is not None and workers > 1:
        raise ValueError("Runs are done by workers of this machine or by a cluster; give --workers or --cluster.")
    if options and kind is None:
        raise ValueError("Options of a cluster are given, but no cluster; give --cluster slurm.")
    if kind is not None:
        yield cluster(one_of("cluster", kind, CLUSTERS), folder, options)
    elif workers > 1:
        with Processes(workers) as several:
            yield several
    else:
        yield None

"""What a stopped measurement goes on from, also where its processes were stopped in different passes."""

from collections.abc import Callable

from equiscope.measurement.checkpoint import Checkpoint, State
from equiscope.measurement.options import EVERY, Run
from equiscope.measurement.reader import Reader
from equiscope.networks.identity import Answer
from equiscope.system.files import path_of
from equiscope.system.processes import Processes


def checkpoint_of(
    run: Run,
    reader: Reader,
    ours: Callable[..., str],
    answer: Answer | None,
    note: Callable[[str], None],
) -> tuple[Checkpoint | None, State | None]:
    """The checkpoint, where there is one, and the state to go on from."""
    if run.checkpoint is None:
        return None, None
    reader.must_be_read_again("{checkpoint}FILE")
    reader.watches = True
    processes = reader.processes
    its = ours(reader.looks, processes.rank, processes.count)
    every = EVERY if run.checkpoint_every is None else run.checkpoint_every
    longer = 60 * run.checkpoint_if_longer
    saved = Checkpoint(path_of(run.checkpoint), its, processes, answer, every, longer, note)
    return saved, _resumed(saved, processes) if run.resume else None


def _resumed(saved: Checkpoint, processes: Processes) -> State | None:
    """The state to go on from; where that of one process cannot be loaded, a ValueError in all of them."""
    try:
        state, wrong = saved.load(), None
    except ValueError as error:
        state, wrong = None, str(error)
    for told in processes.gathered(wrong):
        if told is not None:
            raise ValueError(told)
    return _caught_up(state, processes)


def _caught_up(state: State | None, processes: Processes) -> State | None:
    """The state to go on from, where processes were stopped in different passes over the images.

    A process whose state is of an earlier pass than another's had ended that pass as well, and takes over what was
    found by then.
    """
    passes = processes.gathered(-1 if state is None else state["pass"])
    furthest = max(passes)
    if min(passes) == furthest:
        return state
    names = ("free_memory", "findings", "centres", "matchings", "registered", "registered_contents")
    shared = None if state is None else {name: state[name] for name in names}
    found = processes.told_by(passes.index(furthest), shared)
    behind = passes[processes.rank] < furthest
    empty: State = {"pass": furthest, "counted": 0, "window": 0, "batches": 0, "read": None, "moments": {}}
    return empty | found if behind else state

"""Where runs are done."""

import os
import signal

import pytest

from equiscope_studies.training.executors import Processes, executor


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_takes_no_other_with_it():
    with Processes(2) as processes:
        first, second = processes.submit(killed), processes.submit(os.getpid)
        assert second.result() != os.getpid()
        with pytest.raises(RuntimeError):
            first.result()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, None, {}), "workers is 0"),
        ((2, "slurm", {}), "--workers or --cluster"),
        ((1, None, {"timeout_min": 5}), "give --cluster slurm"),
        ((1, "lsf", {}), "one of slurm, local"),
    ],
)
def test_executors_that_cannot_be_are_refused(arguments, sentence, tmp_path):
    workers, cluster, options = arguments
    with pytest.raises(ValueError, match=sentence), executor(workers, cluster, tmp_path, options):
        pass

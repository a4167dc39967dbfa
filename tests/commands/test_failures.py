"""What went wrong is one sentence in the spelling of the command line, and an exit status."""

import pytest
import torch
import typer

from equiscope.commands.failures import explained
from equiscope.system.errors import OptionError


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ValueError("no\nsuch  thing."), 2, "no such thing."),
        (OptionError("{batch_size}{given} is too small; {no_intervals} helps.", given=0), 2,
         "--batch-size 0 is too small; --no-intervals helps."),
        (OptionError("{strides}{given!r} and {measures}x.", given="runs/limit=200"), 2,
         "--stride 'runs/limit=200' and --measures x."),
        (ValueError("runs/limit=200 is no result, nor is memory=3/force=True."), 2,
         "runs/limit=200 is no result, nor is memory=3/force=True."),
        (PermissionError(13, "Permission denied", "runs/limit=200"), 2,
         "runs/limit=200 cannot be read or written (Permission denied); give another path, or mend this one."),
        (PermissionError(13, "Permission denied", b"\xff.png"), 2,
         "\\xff.png cannot be read or written (Permission denied); give another path, or mend this one."),
        (ValueError("out of memory.png holds no image."), 2, "out of memory.png holds no image."),
        (FileExistsError("out exists."), 2, "out exists."),
        (MemoryError(), 2, "the memory does not suffice for so many images at once; give a smaller --batch-size."),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 2,
         "the memory does not suffice for so many images at once; give a smaller --batch-size."),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), 2,
         "the memory does not suffice for so many images at once; give a smaller --batch-size."),
        (KeyboardInterrupt(), 130, "interrupted, and nothing was written."),
        (typer.Abort("interrupted; the same command goes on."), 130, "interrupted; the same command goes on."),
        (ZeroDivisionError("division\nby zero"), 1,
         "ZeroDivisionError: division by zero; this should not happen, see where with EQUISCOPE_TRACEBACK=1 before "
         "it."),
    ],
)  # fmt: skip
def test_a_failure_is_a_sentence_and_a_status(error, status, sentence):
    assert explained(error) == (sentence, status)


def test_what_nobody_foresaw_is_told_with_its_innermost_cause():
    error, between = RuntimeError("no table"), KeyError("wrapped")
    error.__cause__, between.__cause__ = between, FileNotFoundError(2, "No such file or directory", "data/part.arrow")
    sentence, status = explained(error)
    assert status == 1
    assert sentence.startswith("RuntimeError: no table (because of data/part.arrow: No such file or directory); this")

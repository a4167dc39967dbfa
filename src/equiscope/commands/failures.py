"""What went wrong, in one sentence on one line, and the exit status that goes with it."""

import re
from errno import ENOMEM

import typer

from equiscope.system.errors import OptionError, cause_of


def explained(error: BaseException) -> tuple[str, int]:
    """The sentence for an exception, in the spelling of the command line, and the exit status.

    2 where another command would do, 130 where the user stopped it (Ctrl-C), 1 where nobody foresaw it.
    """
    text = " ".join(str(error).split())
    match error:
        case KeyboardInterrupt():
            return "interrupted, and nothing was written.", 130
        case typer.Abort():
            return text, 130
        case typer.TyperException():
            return " ".join(error.format_message().split()), 2
        case _ if _of_memory(error):
            return "the memory does not suffice for so many images at once; give a smaller --batch-size.", 2
        case OptionError():
            return " ".join(error.on_command_line().split()), 2
        case OSError(strerror=str(reason), filename=str() | bytes() as path):
            path = path.decode(errors="backslashreplace") if isinstance(path, bytes) else path
            return f"{path} cannot be read or written ({reason}); give another path, or mend this one.", 2
        case ValueError() | OSError():
            return text, 2
    cause = cause_of(error)
    text = f"{type(error).__name__}: {text}" + (f" (because of {cause})" if error.__cause__ is not None else "")
    return f"{text}; this should not happen, see where with EQUISCOPE_TRACEBACK=1 before it.", 1


def _of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice; torch tells so in the words of a RuntimeError."""
    words = "out of memory|not enough memory|allocate memory"
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, RuntimeError) and re.search(words, str(error)) is not None)
        or (isinstance(error, OSError) and error.errno == ENOMEM)
    )

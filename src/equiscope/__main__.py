"""`python -m equiscope` is the command `equiscope`."""

import sys

from equiscope.commands.main import main

if __name__ == "__main__":
    sys.exit(main())

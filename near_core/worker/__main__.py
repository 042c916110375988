"""`python -m near_core.worker FOLDER PARENT`: the child process that Blender starts."""

import sys

from .worker import main

if __name__ == "__main__":
    main(*sys.argv[1:3])

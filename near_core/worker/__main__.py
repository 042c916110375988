"""`python -m near_core.worker FOLDER PARENT`: the child process that Blender starts."""

import sys

from .worker import main

main(*sys.argv[1:3])

"""NeAR's engine: neural assets, created from photos or meshes, rendered under any light. No Blender in here."""

__version__ = "0.1.0"
STOPPED = 130  # exit status of a command that is ended
# the environment of a process that draws: its threads each take a part of a picture, and products of matrices with
# three rows are not worth others, which OpenBLAS keeps busy for a while after each
DRAWING = {"OPENBLAS_NUM_THREADS": "1"}

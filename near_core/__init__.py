"""NeAR's engine: neural assets, created from photos or meshes, rendered under any light. No Blender in here."""

__version__ = "0.1.0"

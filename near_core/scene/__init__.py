"""What a picture is asked with: instances, a camera, an environment, settings.

`camera` and `environment` hold more verbs: import them by name.
"""

from .camera import Camera
from .environment import Environment
from .settings import INSTANCES, PASSES, Instance, Settings

__all__ = ["INSTANCES", "PASSES", "Camera", "Environment", "Instance", "Settings"]

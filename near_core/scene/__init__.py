"""What a picture is asked with: instances, a camera, an environment, what stands around, settings.

`camera` and `environment` hold more verbs: import them by name.
"""

from .camera import Camera
from .environment import Environment
from .exposure import Lens, Shutter
from .lamp import Lamp, measure_pattern
from .look import PLAIN, AssetLook
from .occluders import Occluders
from .probe import Probe
from .settings import INSTANCES, LIGHT, PASSES, Instance, Settings

__all__ = ["INSTANCES", "PASSES", "PLAIN", "AssetLook", "Camera", "Environment", "Instance", "LIGHT", "Lamp", "Lens",
           "Occluders", "Probe", "Settings", "Shutter", "measure_pattern"]

"""What a picture is asked with: instances, a camera, an environment, what stands around, settings.

`camera` and `environment` hold more verbs: import them by name.
"""

from .camera import Camera
from .environment import Environment
from .exposure import Lens, Shutter
from .lamp import Lamp, measure_pattern
from .look import DARK, PLAIN, AssetLook
from .occluders import Occluders
from .probe import Probe
from .settings import (
    CHANNELS,
    GROUP,
    INSTANCES,
    KINDS,
    LIGHT,
    PARTS,
    PASSES,
    SPLIT_LIGHT,
    Instance,
    Settings,
    count_channels,
    list_groups,
)

__all__ = ["CHANNELS", "DARK", "GROUP", "INSTANCES", "KINDS", "LIGHT", "PARTS", "PASSES", "PLAIN", "SPLIT_LIGHT",
           "AssetLook", "Camera", "Environment", "Instance", "Lamp", "Lens", "Occluders", "Probe", "Settings",
           "Shutter", "count_channels", "list_groups", "measure_pattern"]

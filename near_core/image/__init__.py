"""Pictures in and out: colours, OpenEXR, Radiance HDR, photos with their EXIF.

Arrays are float32, row 0 on top, linear Rec.709 with premultiplied alpha (docs/conventions.md).
"""

from .color import blackbody, luminance, premultiply, srgb_decode, srgb_encode
from .exif import read_field_of_view, read_turn
from .exr import read_layers, write_exr
from .files import CONVERTED, LINEAR, READABLE, list_photos, read, read_photo, read_size, write_png

__all__ = ["CONVERTED", "LINEAR", "READABLE", "blackbody", "list_photos", "luminance", "premultiply", "read",
           "read_field_of_view", "read_layers", "read_photo", "read_size", "read_turn", "srgb_decode", "srgb_encode",
           "write_exr", "write_png"]

"""For developers, not in the zip: scripts that run inside Blender. Nothing imports them."""

"""A neural asset as Blender holds it: its bytes, its proxy, its look, and the photos that it was made from."""

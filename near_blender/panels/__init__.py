"""What an artist sees of NeAR in Blender's editors: panels, menus, and the page behind F1."""

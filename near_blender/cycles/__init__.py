"""The second Blender, in which Cycles draws what is ordinary: how the scene gets there, and what it does with it."""

"""Other processes as Blender sees them: workers that draw and create, and a second Blender."""

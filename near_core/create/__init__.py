"""The verb create: meshes and photos become neural assets.

create.create_from_mesh, create.create_from_image; photo.prepare cuts an object out of a photo; config holds what was
tuned.
"""

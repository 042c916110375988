"""The child process that works for Blender: `python -m near_core.worker FOLDER PARENT`.

protocol is what both sides say to each other; worker.main runs until the parent closes the pipe.
"""

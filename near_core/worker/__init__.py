"""The child process that works for Blender: `python -m near_core.worker FOLDER PARENT`.

protocol is how both sides talk, operations what can be asked for; worker.main runs until the parent closes the pipe.
"""

"""The full-size published model at work, where torch and a checkpoint are.

renderer.PublishedRenderer draws and creates with it; checkpoints finds and checks its files, download fetches them with
the person's consent; interpreter finds a Python that can run it.
"""

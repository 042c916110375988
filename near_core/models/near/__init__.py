"""The published NeAR and TRELLIS networks, with the key names of their checkpoints.

pipeline.Pipeline puts them together; checkpoint opens the files. All of it is torch.
"""

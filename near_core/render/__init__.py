"""The verb render: instances, a camera and an environment become passes.

renderer.Renderer draws pictures; splatting says which surfels they consist of; composite merges two of them;
thumbnail draws an asset's preview.
"""

"""The verb render: instances, a camera and an environment become passes.

renderer.Renderer draws pictures; preparation keeps what they need of assets; splatting says which surfels they consist
of, detail which finer ones take their place, passes what becomes of the blended features; config holds what was tuned;
composite merges two pictures; thumbnail draws an asset's preview; parallel.parallel_map is the one way to use several
threads.
"""

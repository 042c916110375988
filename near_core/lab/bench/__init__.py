"""Time and memory: bench of the engine, part by part; published of its large networks; lock keeps it quiet."""

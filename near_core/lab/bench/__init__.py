"""Time and memory: bench of the engine, published of the full-size networks; lock keeps the machine quiet."""

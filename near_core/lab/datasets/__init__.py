"""Training pictures: dataset reads a folder, render_dataset writes one with Cycles, the others make its objects."""

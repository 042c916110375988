"""What the stages learn from.

photos are crops of a data set's pictures, samples what their cameras see of the mesh; relight judges layers by how they
look. packed_objects (from data sets, models, ldraw) become a stock of scenes (bending, shadows, raster, groups), and a
studio photographs them anew. lit_surfels and mixtures are what the lighting decoder learns from.
"""

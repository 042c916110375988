"""How light travels on an asset's own grid.

transport prepares a light and an asset and illuminates one by the other; near has what of a light stands near by;
lamps and lamplight do the same for lamps, patterns has what their nodes make of them, shadows what is in their way;
terms shades surfels towards a camera, points what lies between them; principled is the surface that all stand on;
config holds what was tuned.
"""

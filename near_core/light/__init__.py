"""How light travels on an asset's own grid.

transport prepares a light and an asset and illuminates one by the other; terms shades surfels towards a camera;
principled is the surface that both stand on; config holds what was tuned.
"""

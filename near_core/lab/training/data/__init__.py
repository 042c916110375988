"""What the stages learn from: photos of rendered objects, packed objects, scenes photographed anew."""

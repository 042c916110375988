"""What artists get: packing, what a zip must hold, what is checked before it is given away."""

"""What materials and lamps are made of, read by us: nodes, their images, materials."""

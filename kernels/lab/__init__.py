"""For developers, not in the zip: build compiles the library, autograd differentiates through the splatter in torch."""

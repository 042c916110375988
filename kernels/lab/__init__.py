"""For developers, not in the zip: build compiles the library, splat_gradients differentiates the splatter, and autograd
does so in torch."""

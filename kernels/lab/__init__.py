"""For developers, not in the zip: build compiles the library, and autograd makes torch functions of the
splatter and its gradients."""

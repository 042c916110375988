"""One module a stage; each trains the networks of one file in near_core/weights."""

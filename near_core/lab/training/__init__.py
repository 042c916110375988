"""near-mini's training: loop runs a stage, stages are its parts, data are the samples they learn from."""

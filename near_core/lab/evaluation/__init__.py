"""Pictures against their truth: evaluate by the protocol of docs/evaluation.md, metrics, baselines, the report."""

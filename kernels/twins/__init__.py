"""The specification of every kernel in plain numpy or torch: slow, readable, float64 capable."""

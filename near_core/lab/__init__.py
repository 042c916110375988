"""The laboratory: data sets, evaluation, reference checks, benchmarks, training. Not part of the extension."""

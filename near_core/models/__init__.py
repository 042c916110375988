"""Networks and nothing else: `mini` ships with the extension, `near` is the published model."""

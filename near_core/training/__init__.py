"""Training of near-mini. Needs torch and the `train` extra; nothing of this ships in the extension."""

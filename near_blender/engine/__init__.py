"""The render engine: final pictures, Rendered mode, passes, and assets in another engine's render."""

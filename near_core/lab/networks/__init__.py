"""near-mini in torch, for training and export: asset_networks and photo_networks, and graphs, which names and exports
them. What they become, ONNX graphs, runs in models.mini without torch.
"""

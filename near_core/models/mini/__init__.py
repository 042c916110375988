"""near-mini, the embedded model.

runtime.NearMini runs it, from ONNX graphs or in torch; layout names the columns of its tensors. asset_networks,
photo_networks and graphs are torch and serve training and the export.
"""

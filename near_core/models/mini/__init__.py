"""near-mini, the embedded model: runtime.NearMini runs its ONNX graphs, layout names the columns of its tensors.

The networks themselves, in torch, stand in lab.networks: they are trained and exported there.
"""

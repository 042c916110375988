"""Checkpoint folders with random weights, laid out as the published ones, for tests."""

import json
from pathlib import Path

LR = {name: 1.0 for name in ("_xyz", "_base_color", "_opacity", "_scaling", "_roughness", "_metallic", "_pbr1",
                             "_scaling_view", "_rgb", "_shadow", "_hdri1", "_hdri2")} | {"_rotation": 0.1}
SMALL = {
    "decoder": ("SLatGaussianDecoder", {
        "resolution": 64, "model_channels": 32, "latent_channels": 8, "cond_channels": 32, "num_blocks": 2,
        "num_heads": 2}),
    "renderer": ("SLatGaussianRenderer", {
        "resolution": 64, "model_channels": 32, "latent_channels": 32, "cond_channels": 32, "num_blocks": 2,
        "num_heads": 2, "representation_config": {
            "lr": LR, "perturb_offset": True, "voxel_size": 1.5, "num_gaussians": 8, "2d_filter_kernel_size": 0.1,
            "3d_filter_kernel_size": 9e-4, "scaling_bias": 8e-3, "opacity_bias": 0.8,
            "scaling_activation": "softplus"}}),
    "neural_basis": ("NeuralBasis", {
        "input_dim": 32, "output_dim": 5, "hidden_dim": 16, "num_layers": 3, "activation": "silu"}),
    "hdri_encoder": ("Hdri_Encoder", {
        "output_dim": 32, "num_tokens": 16, "cnn_out_channels": 16, "n_heads": 2, "dims": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1]}),
    "slat_flow_model": ("SLatFlowModel", {
        "resolution": 64, "in_channels": 8, "out_channels": 8, "model_channels": 32, "cond_channels": 24,
        "num_blocks": 1, "num_heads": 2, "patch_size": 2, "io_block_channels": [16]}),
    "sparse_structure_flow_model": ("SparseStructureFlowModel", {
        "resolution": 4, "in_channels": 8, "out_channels": 8, "model_channels": 32, "cond_channels": 24,
        "num_blocks": 1, "num_heads": 2, "patch_size": 1}),
    "sparse_structure_decoder": ("SparseStructureDecoder", {
        "out_channels": 1, "latent_channels": 8, "num_res_blocks": 1, "channels": [16, 8]}),
}
RENDERING = ("decoder", "renderer", "neural_basis", "hdri_encoder")


def write_small(folder: Path) -> Path:
    """All networks at toy widths."""
    import torch

    from near_core.models.near_checkpoint import NETWORKS
    for name, (kind, config) in SMALL.items():
        torch.manual_seed(len(name))
        network = NETWORKS[kind](**config)
        for _, parameter in network.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        _save(folder, name, kind, config, network)
    _write_manifest(folder, SMALL)
    return folder


def write_full(folder: Path, keys: Path) -> Path:
    """The networks that rendering takes, at the published sizes. keys: the folder `state_dict_keys` of the fixtures."""
    from near_core.models.near_checkpoint import NETWORKS
    from near_core.reference_fullsize import fill
    for name in RENDERING:
        described = json.loads((keys / f"{name}.json").read_text())
        kind, config = described["official_class"], described["config"]
        network = fill(NETWORKS[kind](**config), salt=5)
        if name == "renderer":  # small Gaussians near their voxels: the object's shape can be recognized
            network.gs_out_layer[2].weight.mul_(0.05)
            network.gs_out_layer[2].bias.mul_(0.05)
        _save(folder, name, kind, config, network)
    _write_manifest(folder, RENDERING)
    return folder


def _save(folder, name, kind, config, network):
    from safetensors.torch import save_file
    save_file({key: value.clone().contiguous() for key, value in network.state_dict().items()},
              folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps({"name": kind, "args": config}))


def _write_manifest(folder, names):
    import yaml
    sampler = {"params": {"steps": 4, "cfg_strength": 2.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0}}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"args": {
        "models": {name: name for name in names}, "slat_sampler": sampler, "sparse_structure_sampler": sampler,
        "slat_normalization": {"mean": [0.1] * 8, "std": [1.5] * 8}}}))

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
        "resolution": 64, "in_channels": 8, "out_channels": 8, "model_channels": 32, "cond_channels": 64,
        "num_blocks": 1, "num_heads": 2, "patch_size": 2, "io_block_channels": [16]}),
    "sparse_structure_flow_model": ("SparseStructureFlowModel", {
        "resolution": 4, "in_channels": 8, "out_channels": 8, "model_channels": 32, "cond_channels": 64,
        "num_blocks": 1, "num_heads": 2, "patch_size": 1}),
    "sparse_structure_decoder": ("SparseStructureDecoder", {
        "out_channels": 1, "latent_channels": 8, "num_res_blocks": 1, "channels": [16, 8]}),
}
RENDERING = ("decoder", "renderer", "neural_basis", "hdri_encoder")


STRUCTURE = ("sparse_structure_flow_model", "sparse_structure_decoder")
ENCODER = {"embed_dim": 64, "depth": 2, "num_heads": 1, "num_register_tokens": 2}


def write_small(folder: Path, names=tuple(SMALL), encoder: bool = True) -> Path:
    """Networks at toy widths, the image encoder among them under the name of its original file."""
    from near_core.models.near.checkpoint import NETWORKS
    for name in names:
        kind, config = SMALL[name]
        _save(folder, name, kind, config, _random(NETWORKS[kind], config, len(name)))
    _write_manifest(folder, names)
    if encoder:
        write_encoder(folder)
    return folder


def write_encoder(folder: Path, hub: bool = False) -> Path:
    """A small DINOv2. hub: as the hub hands it out, with other names and queries, keys and values apart."""
    from safetensors.torch import save_file

    from near_core.models.near.dino import DinoVisionTransformer
    weights = dict(_random(DinoVisionTransformer, ENCODER, 5).state_dict())
    if not hub:
        save_file(weights, folder / "dinov2_vitl14_reg4_pretrain.safetensors")
        return folder
    renamed = {}
    for key, value in weights.items():
        if ".attn.qkv." in key:
            layer, kind = key.split(".")[1], key.rsplit(".", 1)[1]
            for part, rows in zip(("query", "key", "value"), value.chunk(3)):
                renamed[f"encoder.layer.{layer}.attention.attention.{part}.{kind}"] = rows.clone()
            continue
        if key.startswith("blocks."):
            key = key.replace("blocks.", "encoder.layer.").replace("attn.proj", "attention.output.dense")
            key = key.replace("ls1.gamma", "layer_scale1.lambda1").replace("ls2.gamma", "layer_scale2.lambda1")
        elif key.startswith("norm."):
            key = f"layer{key}"
        else:
            key = "embeddings." + key.replace("pos_embed", "position_embeddings").replace(
                "patch_embed.proj", "patch_embeddings.projection")
        renamed[key] = value
    folder.mkdir(parents=True, exist_ok=True)
    save_file(renamed, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "dinov2_with_registers", "hidden_size": 64}')
    return folder


def _random(kind, config, seed):
    import torch
    torch.manual_seed(seed)
    network = kind(**config)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return network


def write_full(folder: Path, keys: Path) -> Path:
    """The networks that rendering takes, at the published sizes. keys: the folder `state_dict_keys` of the fixtures."""
    from near_core.lab.reference.fullsize import fill
    from near_core.models.near.checkpoint import NETWORKS
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
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.clone().contiguous() for key, value in network.state_dict().items()},
              folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps({"name": kind, "args": config}))


def _write_manifest(folder, names):
    import yaml
    sampler = {"params": {"steps": 4, "cfg_strength": 2.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0}}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"args": {
        "models": {name: name for name in names}, "slat_sampler": sampler, "sparse_structure_sampler": sampler,
        "slat_normalization": {"mean": [0.1] * 8, "std": [1.5] * 8}}}))

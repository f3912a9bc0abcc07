"""Opens exported folders with the unmodified libraries they are for, and says what those give.

    PEERS_PYTHON open_with_peers.py LIBRARY FOLDER…

Each folder holds rows.safetensors (x, and the layer of a set); peer.safetensors is put beside it:
activations, output; and peer.json, what the library knows of the SAE. For Delphi, whose module's
folder holds nothing but splits, x is none and the two are put into the folder above.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


def saelens(folder: Path, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder)
    given = x
    if sae.cfg.reshape_activations == "hook_z":
        given = x.reshape(len(x), 4, -1)
    known = {"class": type(sae).__name__, "metadata": sae.cfg.metadata.to_dict()}
    return sae.encode(given), sae(given).reshape(len(x), -1), known


def sparsify(folder: Path, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    from sparsify import SparseCoder

    found = SparseCoder.load_many(str(folder.parent), local=True)  # by hookpoint
    coder = found[folder.name]
    top = coder.encode(x)
    dense = torch.zeros(len(x), coder.num_latents).scatter(1, top.top_indices, top.top_acts)
    return dense, coder(x).sae_out, {"hookpoints": sorted(found)}


def circuit_tracer(
    folder: Path, x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    import yaml
    from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set

    config = yaml.safe_load((folder / "config.yaml").read_text())
    paths = {int(p.stem[6:]): str(p) for p in folder.glob("layer_*.safetensors")}
    found = load_transcoder_set(
        paths, "scan", config["feature_input_hook"], config["feature_output_hook"],
        device=torch.device("cpu"),
    )  # fmt: skip
    layers = [found[layer] for layer in range(len(found))]
    activations = torch.stack([layer.encode(x) for layer in layers])
    return activations, torch.stack([layer(x) for layer in layers]), {"config": config}


def delphi(folder: Path) -> None:
    """All that Delphi reads of a module: [firings, 4] of latent, context, position, activation."""
    from delphi.config import ConstructorConfig, SamplerConfig
    from delphi.latents import LatentDataset

    tokenizer: Any = object()  # which is for texts, and here are tokens alone
    dataset = LatentDataset(
        folder.parent, SamplerConfig(), ConstructorConfig(), tokenizer, modules=[folder.name]
    )
    found: list[torch.Tensor] = []
    for buffer in dataset.buffers:
        for data in buffer:
            places, acts = data.activation_data.locations, data.activation_data.activations
            latent = torch.full((len(acts), 1), data.latent.latent_index)
            found.append(torch.cat([latent, places[:, :2], acts[:, None]], 1))
    tensors = {"firings": torch.cat(found), "tokens": dataset.tokens.contiguous()}
    save_file(tensors, folder.parent / "peer.safetensors")


if __name__ == "__main__":
    if sys.argv[1] == "delphi":
        delphi(Path(sys.argv[2]))
        sys.exit()
    library = {"saelens": saelens, "sparsify": sparsify, "circuit-tracer": circuit_tracer}
    for name in sys.argv[2:]:
        place = Path(name)
        rows = load_file(place / "rows.safetensors")["x"]
        with torch.no_grad():
            acts, output, facts = library[sys.argv[1]](place, rows)
        tensors = {"activations": acts.float().contiguous(), "output": output.float().contiguous()}
        save_file(tensors, place / "peer.safetensors")
        (place / "peer.json").write_text(json.dumps(facts))

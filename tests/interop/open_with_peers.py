"""Opens exported folders with the unmodified libraries they are for, and says what those give.

    PEERS_PYTHON open_with_peers.py LIBRARY FOLDER…

Each folder holds rows.safetensors (x, and the layer of a set); peer.safetensors is put beside it:
activations, output; and peer.json, what the library knows of the SAE.
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


if __name__ == "__main__":
    library = {"saelens": saelens, "sparsify": sparsify, "circuit-tracer": circuit_tracer}
    for name in sys.argv[2:]:
        place = Path(name)
        rows = load_file(place / "rows.safetensors")["x"]
        with torch.no_grad():
            acts, output, facts = library[sys.argv[1]](place, rows)
        tensors = {"activations": acts.float().contiguous(), "output": output.float().contiguous()}
        save_file(tensors, place / "peer.safetensors")
        (place / "peer.json").write_text(json.dumps(facts))

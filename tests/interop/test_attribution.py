"""The same transcoders through circuit-tracer's own code give the same edges."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lmsaes import export_sae
from lmsaes.circuits.edges import edges, feature_targets, logit_targets
from lmsaes.circuits.frozen import freeze
from lmsaes.circuits.replacement import replace_mlps
from lmsaes.circuits.transcoders import load_transcoders
from lmsaes.demo import MODEL
from lmsaes.model import LanguageModel
from tests.interop.test_peers import PYTHON
from tests.support.made_up_transcoders import made_up_transcoders

pytestmark = pytest.mark.interop

TOKENS = [0, 311, 97, 1205, 97, 8, 3020]
CLOSE = 1e-3  # of the largest edge of a row


def attributed(run: Path) -> dict[str, torch.Tensor]:
    """What circuit-tracer makes of the transcoders."""
    if not PYTHON.exists():
        pytest.skip("the other libraries are not installed: make test-interop")
    (folder,) = export_sae(run, "circuit-tracer", run.parent / "set")
    script, out = Path(__file__).with_name("attribute_with_circuit_tracer.py"), run.parent / "graph"
    words = [str(PYTHON), str(script), str(MODEL), str(folder), json.dumps(TOKENS), str(out)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return load_file(out)


@pytest.mark.parametrize(("kind", "skip"), [("relu", False), ("jumprelu", False), ("relu", True)])
def test_edges_are_circuit_tracers(kind: str, skip: bool, tmp_path: Path):
    lm = LanguageModel.load(str(MODEL), "cpu")
    blocks = len(lm.bridge.blocks)
    run = made_up_transcoders(lm, tmp_path / "run", [kind] * blocks, skip=skip)
    theirs = attributed(run)
    model = freeze(lm, TOKENS)
    # its tokens are embeddings without positions; those are a constant there
    wte = lm.bridge.W_E.detach().float()[torch.tensor(TOKENS)]
    special = [token == 0 for token in TOKENS]
    ours = replace_mlps(model, load_transcoders([run], blocks, lm.device), special)
    ours = dataclasses.replace(ours, model=dataclasses.replace(model, embeddings=wte))

    own = torch.stack([ours.layer, ours.position, ours.feature], 1)
    assert torch.equal(theirs["features"], own)
    torch.testing.assert_close(theirs["activations"], ours.activation, atol=1e-4, rtol=1e-3)
    likeliest = model.logits[-1].topk(len(theirs["logits"]))
    assert torch.equal(theirs["logits"], likeliest.indices)
    expected = torch.cat(
        [
            edges(ours, feature_targets(ours, torch.arange(ours.features))),
            edges(ours, logit_targets(ours, theirs["logits"])),
        ]
    )
    columns, n = expected.shape[1], ours.features
    rows = torch.cat([torch.arange(n), torch.arange(columns, columns + len(theirs["logits"]))])
    found = theirs["adjacency"][rows, :columns]
    # position 0 is a special token: it leaves out the error there, and where there is a skip lets
    # the token pass it, which is part of the error here
    left_out = [ours.error(layer, 0) for layer in range(blocks)]
    same = torch.ones(columns, dtype=torch.bool)
    same[[*left_out, *([ours.token(0)] if skip else [])]] = False
    assert (found[:, left_out] == 0).all()
    size = expected.abs().amax(1, keepdim=True)
    assert ((found - expected).abs()[:, same] <= CLOSE * size).all()
    assert (expected[:, same] != 0).sum() > 1000

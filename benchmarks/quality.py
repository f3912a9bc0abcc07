"""Our SAEs against those of the peers: the same rows, width, k, batch and number of tokens.

    python benchmarks/quality.py                            ours alone, a small run
    python benchmarks/quality.py --json
    python benchmarks/quality.py --peer-python PATH         and SAELens, dictionary_learning and
                                                            sparsify, installed there
    python benchmarks/quality.py --peer-python PATH --tokens 1M --train 1M --features 1024 \\
        --batch 2048 --score 200k                           the table in docs/architectures.md

Everybody trains with defaults of their own. Ours read the cache through the shuffling loader; the
peers get the same rows, shuffled, from `lmsaes tools shuffle`. All are scored on held-out rows in
the model's units: fraction of variance unexplained (FVU), mean number of features that fire (L0),
share of the features that never do. A ratio is our FVU over the best peer's.

"At the rate of": ours with learning rate, warm-up and decay of that peer, which has to come out no
worse than the peer. sparsify's rate is of another kind of step and has no such row.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _peer_quality import Task
from _peers import run_there
from _report import row, tell
from _rows import add_options, heldout_rows, score_ours, training_cache
from _scoring import Score
from safetensors.torch import save_file

from lmsaes import SAE, BatchTopKConfig, TopKConfig, train
from lmsaes.cache_tools.shuffle import shuffle
from lmsaes.sae import SAEConfig
from lmsaes.units import parse_count

KINDS = {"topk": TopKConfig, "batchtopk": BatchTopKConfig}
PEERS = {
    "sae_lens": ("topk", "batchtopk"),
    "dictionary_learning": ("topk", "batchtopk"),
    "sparsify": ("topk",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, tokens="100k", scored="20k")
    parser.add_argument("--train", type=parse_count, default=200_000, help="rows each SAE sees")
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-python", type=Path, help="python of an environment with the peers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tell(measure(arguments, Path(folder)), arguments)


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    heldout = heldout_rows(arguments, folder / "heldout")
    cache = training_cache(arguments, folder / "cache")
    steps = arguments.train // arguments.batch
    rates = peer_rates(arguments.features, steps)
    results = train(
        cache,
        [our_config(kind, kind, arguments) for kind in KINDS]
        + [
            our_config(kind, f"{kind}-{peer}", arguments, **rate)
            for kind in KINDS
            for peer, rate in rates.items()
        ],
        out=folder / "ours",
        tokens=steps * arguments.batch,
        batch_size=arguments.batch,
        seed=arguments.seed,
        device=arguments.device,
    )
    ours = {each.name: score_ours(SAE.load(each.path), heldout) for each in results}
    theirs: dict[tuple[str, str], Score] = {}
    if arguments.peer_python is not None:
        save_file({"x": heldout}, folder / "heldout.safetensors")
        shuffle(cache, folder / "shuffled", [arguments.hook], arguments.seed)
        for peer, kinds in PEERS.items():
            for kind in kinds:
                if (found := peer_score(peer, kind, arguments, steps, folder)) is not None:
                    theirs[peer, kind] = found
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        its = {peer: found for (peer, of), found in theirs.items() if of == kind}
        best = min((found.fvu for found in its.values()), default=None)
        rows.append(fvu_row(f"{kind}, ours", ours[kind], best, 0.92, 0.86))
        rows += [
            fvu_row(
                f"{kind}, ours at the rate of {peer}",
                ours[f"{kind}-{peer}"],
                its[peer].fvu if peer in its else None,
                1.01,
            )
            for peer in rates
        ]
        rows += [fvu_row(f"{kind}, {peer}", found) for peer, found in its.items()]
        rows += [
            row(f"{kind}, {peer}: not measured (--peer-python)", None, "FVU")
            for peer, kinds in PEERS.items()
            if kind in kinds and peer not in its
        ]
    return rows


def peer_rates(features: int, steps: int) -> dict[str, dict[str, float]]:
    """Learning rate and schedule that each peer with Adam has by default."""
    ten_percent = steps // 10
    return {
        "sae_lens": {"lr": 3e-4, "warmup": 0, "lr_decay_fraction": 0},
        "dictionary_learning": {
            "lr": 2e-4 / (features / 2**14) ** 0.5,
            "warmup": min(1000, ten_percent),
            "lr_decay_fraction": 0,
        },
    }


def our_config(
    kind: str, name: str, arguments: argparse.Namespace, **rate: float | int
) -> SAEConfig:
    return KINDS[kind].model_validate(
        {
            "name": name,
            "hook": arguments.hook,
            "features": arguments.features,
            "k": arguments.k,
            "seed": arguments.seed,
            **rate,
        }
    )


def peer_score(
    peer: str, kind: str, arguments: argparse.Namespace, steps: int, folder: Path
) -> Score | None:
    """None, and a line that says why, where the peer can't be run."""
    rows = (folder / "shuffled" / "activations" / arguments.hook).glob("*.safetensors")
    task = Task(
        peer=peer,
        kind=kind,
        rows=sorted(map(str, rows)),
        heldout=str(folder / "heldout.safetensors"),
        features=arguments.features,
        k=arguments.k,
        batch=arguments.batch,
        steps=steps,
        seed=arguments.seed,
    )
    script = Path(__file__).with_name("_peer_quality.py")
    found = run_there(f"{peer}'s {kind}", arguments.peer_python, script, json.dumps(asdict(task)))
    return None if found is None else Score(**found)


def fvu_row(
    what: str,
    found: Score,
    against: float | None = None,
    must: float | None = None,
    aim: float | None = None,
) -> dict[str, Any]:
    full = f"{what}: L0 {found.l0:.1f}, {100 * found.silent:.1f} % silent"
    ratio = None if against is None else found.fvu / against
    return row(full, found.fvu, "FVU", ratio, must, aim, **asdict(found))


if __name__ == "__main__":
    main()

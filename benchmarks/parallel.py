"""Training steps by several processes against one: speed-up, and the share of time in collectives.

    python benchmarks/parallel.py
    python benchmarks/parallel.py --json
    torchrun --nproc-per-node 8 benchmarks/parallel.py --d-model 768 --features 24576 --batch 8192

Without torchrun the script starts itself once per `--ranks`, with gloo on this machine's cores and
one thread each. All step the same SAE on a batch that is at hand, as one process alone does first:
`rows` and `features` share that step out, `saes` steps an SAE per process. The time in collectives
has the waiting for the slowest process in it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from _report import row, tell
from torch import Tensor

from lmsaes import SAE
from lmsaes.parallel import Collectives, OneRank, join_ranks, own_device, resolve_device
from lmsaes.sae import CONFIGS, Shards
from lmsaes.training import Normalization, SAETrainer, keep_freed_memory
from lmsaes.training.exchange import Exchange


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="topk", choices=["topk", "batchtopk"])
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--features", type=int, default=8192)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=5, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2, help="processes, without torchrun")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if "RANK" in os.environ:
        with join_ranks() as ranks:
            rows = measure(arguments, ranks)
        if ranks.rank == 0:
            tell(rows, arguments)
        return
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(arguments.ranks), __file__, *sys.argv[1:], "--json"]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | threads)
    found = done.stdout.decode().splitlines()[-1]
    if arguments.json:
        print(found)
    else:
        tell(json.loads(found)["rows"], arguments)


def measure(arguments: argparse.Namespace, ranks: Collectives) -> list[dict[str, Any]]:
    device = resolve_device(own_device(arguments.device))
    if device.type == "cpu":
        keep_freed_memory()
    clock = Clock(ranks, device)
    alone = OneRank()
    modes = {
        "alone": Steps(arguments, device, Shards()),
        "saes": Steps(arguments, device, Shards()),
        "features": Steps(arguments, device, Shards(features=ranks)),
        "rows": Steps(arguments, device, Shards(rows=ranks)),
    }
    seconds: dict[str, list[float]] = {mode: [] for mode in modes}
    shares: dict[str, list[float]] = {mode: [] for mode in modes}
    for done in range(arguments.rounds + 1):  # the first one warms up
        for mode, steps in modes.items():
            ranks.wait()
            if mode == "alone" and ranks.rank != alone.rank:
                continue
            taken, exchanging = clock.time(lambda steps=steps: steps.take(arguments.steps))
            if done:
                seconds[mode].append(taken / arguments.steps)
                shares[mode].append(exchanging / taken)
    rows: list[dict[str, Any]] = []
    one = 0.0
    for mode in modes:
        slowest = slowest_of(ranks, statistics.median(seconds[mode]) if seconds[mode] else 0.0)
        if mode == "alone":
            one = slowest
            rows.append(row("one process, a step", 1e3 * one, "ms"))
            continue
        at_once = ranks.size if mode == "saes" else 1
        speed_up, share = at_once * one / slowest, statistics.median(shares[mode])
        what = f"{ranks.size} ranks, --parallel {mode}, a step"
        rows.append(row(what, 1e3 * slowest, "ms", speed_up, better="higher", collectives=share))
        rows.append(row(f"{what}: share of time in collectives", 100 * share, "%"))
    return rows


class Steps:
    """An SAE's trainer and this rank's part of a batch."""

    def __init__(self, arguments: argparse.Namespace, device: torch.device, shards: Shards) -> None:
        settings = {"features": arguments.features, "k": arguments.k}
        config = CONFIGS[arguments.architecture].model_validate(settings)
        sae = SAE.create(config, arguments.d_model)
        sae.keep_shard(shards)
        sae = sae.to(device)
        unit = Normalization(
            torch.zeros(arguments.d_model), torch.ones(arguments.d_model), float(arguments.d_model)
        )
        unit, self.shards, self.rows = unit.to(device), shards, arguments.batch
        self.trainer = SAETrainer(sae, 1000, 1000 * self.rows, unit, unit, Exchange(shards))
        x = torch.randn(self.rows, arguments.d_model, generator=torch.Generator().manual_seed(0))
        self.places = torch.arange(shards.rows.rank, self.rows, shards.rows.size)
        self.x: Tensor = x[self.places].to(device)

    def take(self, steps: int) -> None:
        for _ in range(steps):
            self.shards.begin_batch(self.places, self.rows)
            self.trainer.step(self.x, self.x)


class Clock:
    """Times work, and of it the part in which ranks exchange tensors."""

    def __init__(self, ranks: Collectives, device: torch.device) -> None:
        self.device, self.exchanging = device, 0.0
        if not isinstance(ranks, OneRank):
            ranks.add_up = self._timed(ranks.add_up)
            ranks.gather = self._timed(ranks.gather)

    def time(self, work: Callable[[], None]) -> tuple[float, float]:
        """Seconds in all, and in collectives."""
        self.exchanging = 0.0
        begun = self._now()
        work()
        return self._now() - begun, self.exchanging

    def _timed(self, collective: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        def run(values: Tensor) -> Any:
            begun = self._now()
            result = collective(values)
            self.exchanging += self._now() - begun
            return result

        return run

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def slowest_of(ranks: Collectives, seconds: float) -> float:
    return float(ranks.gather(torch.tensor(seconds, dtype=torch.float64)).max())


if __name__ == "__main__":
    main()

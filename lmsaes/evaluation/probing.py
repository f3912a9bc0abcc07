"""k-sparse probing: how well a few features tell labeled texts apart, beside the activations.

For each class, its texts against as many others drawn at random; four fifths to learn from, the
rest to test on. The k features whose mean differs most between the two (Gurnee et al. 2023,
arXiv 2305.01610, "mean difference") go into a logistic regression, as does, for comparison, the
whole activation. A text is the mean over its tokens, special ones left out. Draws and splits are
repeated with other seeds, and what is reported is the mean over classes, then over seeds.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lmsaes.cache import ActivationCache
from lmsaes.errors import DataError
from lmsaes.evaluation.measured_sae import MeasuredSAE
from lmsaes.evaluation.records import ProbeResult, Probing
from lmsaes.model import PatchedForward
from lmsaes.progress import progress
from lmsaes.sae import SparseRows

KS = (1, 2, 5)
RESEEDINGS = 10
_FEWEST = 10  # texts of a class: two of them are tested on
_TESTED = 0.2


@dataclass(frozen=True)
class LabeledTexts:
    """Texts and the class of each, as an index into `classes`."""

    texts: tuple[str, ...]
    labels: Tensor  # int64 [texts]
    classes: tuple[str, ...]


def check_probe(file: Path) -> LabeledTexts:
    """The labeled texts in a file of JSON lines, `{"text": …, "label": …}`.

    A label is text, a whole number or a truth value. Raises DataError for a file that can't be
    read, naming the line, and for classes that are too few or too small.
    """
    texts: list[str] = []
    names: list[str] = []
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"can't read {file}: {error.strerror}", "give --probe a file") from None
    except UnicodeDecodeError:
        raise DataError(f"{file} is not UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            text, name = _labeled(file, number, line)
            texts.append(text)
            names.append(name)
    sizes = Counter(names)
    if len(sizes) < 2:
        raise DataError(f"{file} has {len(sizes)} classes", "probing takes at least two")
    smallest = min(sizes, key=lambda name: sizes[name])
    if sizes[smallest] < _FEWEST:
        raise DataError(
            f"{file} has {sizes[smallest]} texts of '{smallest}'",
            f"probing takes at least {_FEWEST} of each class",
        )
    classes = sorted(sizes)
    labels = torch.tensor([classes.index(name) for name in names])
    return LabeledTexts(tuple(texts), labels, tuple(classes))


def _labeled(file: Path, number: int, line: str) -> tuple[str, str]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"line {number} of {file} is not JSON") from None
    if not isinstance(found, dict):
        raise DataError(f'line {number} of {file} is not {{"text": …, "label": …}}')
    text, label = found.get("text"), found.get("label")
    if not isinstance(text, str) or not isinstance(label, str | int | bool):
        missing = "label" if isinstance(text, str) else "text"
        raise DataError(
            f"line {number} of {file} has no {missing}", 'write {"text": "…", "label": "…"} a line'
        )
    return text, str(label)


def probe(
    labeled: LabeledTexts,
    jobs: Sequence[MeasuredSAE],
    cache: ActivationCache,
    forward: PatchedForward,
    batch_size: int,
) -> list[Probing]:
    """Probing of each SAE, on the same texts, draws and splits."""
    hooks = list(dict.fromkeys(hook for job in jobs for hook in job.hooks))
    activations: dict[tuple[str, ...], list[Tensor]] = defaultdict(list)
    features: list[list[SparseRows]] = [[] for _ in jobs]
    total = len(labeled.texts)
    with torch.inference_mode(), progress("probing", total, "texts") as bar:
        for start in range(0, total, batch_size):
            texts = labeled.texts[start : start + batch_size]
            tokens, counted = _tokens(texts, cache, forward)
            _, found = forward.read(tokens, hooks)
            text = torch.arange(len(texts), device=forward.device)[:, None]
            text = text.expand_as(counted)[counted]
            lengths = counted.sum(1).clamp(min=1)
            for hooks_read in {job.hooks for job in jobs}:
                rows = torch.cat([found[hook][counted].float() for hook in hooks_read], 1)
                activations[hooks_read].append(_means(rows, text, lengths).cpu())
            for job, kept in zip(jobs, features, strict=True):
                rows = torch.cat([found[hook][counted].float() for hook in job.hooks], 1)
                pooled = _means(job.sae.encode(rows, dense=True), text, lengths)
                kept.append(SparseRows.above(pooled.cpu(), 0.0))
            bar.advance(len(texts))
    dense = {
        hooks_read: _over_seeds(labeled, "dense", _Dense(torch.cat(parts)))
        for hooks_read, parts in activations.items()
    }
    return [
        Probing(
            texts=total,
            classes=list(labeled.classes),
            reseedings=RESEEDINGS,
            results=[
                *(_over_seeds(labeled, _named(k), _Sparse(_joined(kept), k)) for k in KS),
                dense[job.hooks],
            ],
        )
        for job, kept in zip(jobs, features, strict=True)
    ]


def _named(k: int) -> str:
    return "1 feature" if k == 1 else f"{k} features"


def _tokens(
    texts: Sequence[str], cache: ActivationCache, forward: PatchedForward
) -> tuple[Tensor, Tensor]:
    """Token ids of texts as the cache's contexts have them, filled up on the right, and which
    positions count; both [texts, longest]."""
    record, tokenizer = cache.manifest.text, forward.lm.tokenizer
    first = [record.bos_id] if record.bos and record.bos_id is not None else []
    ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    rows = [[*first, *each][: cache.context_size] for each in ids]
    longest = max(1, *map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    counted = torch.arange(longest) < lengths[:, None]
    special = torch.tensor(record.special_ids, dtype=tokens.dtype)
    counted &= ~torch.isin(tokens, special)
    return tokens.to(forward.device), counted.to(forward.device)


def _means(rows: Tensor, text: Tensor, lengths: Tensor) -> Tensor:
    """Means of `rows` [tokens, d] by the `text` of each; a text of no tokens has zeros."""
    sums = torch.zeros(lengths.shape[0], rows.shape[1], dtype=rows.dtype, device=rows.device)
    return sums.index_add_(0, text, rows) / lengths[:, None]


def _joined(parts: Sequence[SparseRows]) -> SparseRows:
    counts = torch.cat([part.counts() for part in parts])
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    indices, values = (torch.cat([getattr(p, n) for p in parts]) for n in ("indices", "values"))
    return SparseRows(offsets, indices, values, parts[0].features)


class _Dense:
    """The activations themselves: every probe gets all of them."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def choose(self, positive: Tensor, negative: Tensor) -> None:
        """All dimensions."""

    def inputs(self, chosen: None, texts: Tensor) -> Tensor:
        return self.rows[texts]


class _Sparse:
    """The `k` features that differ most between the texts learned from."""

    def __init__(self, rows: SparseRows, k: int) -> None:
        self.rows, self.k = rows, min(k, rows.features)

    def choose(self, positive: Tensor, negative: Tensor) -> Tensor:
        weights = torch.zeros(self.rows.rows)
        weights[positive] = 1 / len(positive)
        weights[negative] = -1 / len(negative)
        apart = torch.zeros(self.rows.features)
        values = self.rows.values * weights[self.rows.row_ids()]
        return apart.index_add(0, self.rows.indices, values).abs().topk(self.k).indices

    def inputs(self, chosen: Tensor, texts: Tensor) -> Tensor:
        return self.rows.columns(chosen).dense()[texts]


def _over_seeds(labeled: LabeledTexts, name: str, given: "_Dense | _Sparse") -> ProbeResult:
    classes = range(len(labeled.classes))
    # of two classes, one against the other is the other against the one
    asked = classes[:1] if len(classes) == 2 else classes
    chosen: dict[int, Counter[int]] = {index: Counter() for index in asked}
    accuracies: list[float] = []
    for seed in range(RESEEDINGS):
        correct = [_accuracy(labeled, given, index, seed, chosen[index]) for index in asked]
        accuracies.append(sum(correct) / len(correct))
    features = None
    if isinstance(given, _Sparse):
        features = {
            labeled.classes[index]: [feature for feature, _ in counts.most_common(given.k)]
            for index, counts in chosen.items()
        }
    return ProbeResult(
        inputs=name,
        accuracy=sum(accuracies) / len(accuracies),
        low=min(accuracies),
        high=max(accuracies),
        features=features,
    )


def _accuracy(
    labeled: LabeledTexts,
    given: "_Dense | _Sparse",
    index: int,
    seed: int,
    chosen_features: Counter[int],
) -> float:
    """Share of unseen texts that a probe of one class gets right, of one draw and split."""
    generator = torch.Generator().manual_seed(1000 * seed + index)

    def drawn(texts: Tensor) -> Tensor:
        return texts[torch.randperm(len(texts), generator=generator)]

    mine = drawn((labeled.labels == index).nonzero()[:, 0])
    others = drawn((labeled.labels != index).nonzero()[:, 0])
    size = min(len(mine), len(others))
    tested = max(1, round(_TESTED * size))
    learned = [texts[tested:size] for texts in (mine, others)]
    chosen = given.choose(*learned)
    if chosen is not None:
        chosen_features.update(chosen.tolist())
    inputs: Callable[[Tensor], Tensor] = lambda texts: given.inputs(chosen, texts).double()  # type: ignore[arg-type]  # noqa: E731
    decide = fit_logistic(inputs(torch.cat(learned)), _signs(len(learned[0]), len(learned[1])))
    held_out = inputs(torch.cat([mine[:tested], others[:tested]]))
    right = (decide(held_out) > 0) == (_signs(tested, tested) > 0)
    return float(right.double().mean())


def _signs(positive: int, negative: int) -> Tensor:
    return torch.cat([torch.ones(positive), -torch.ones(negative)]).double()


def fit_logistic(x: Tensor, signs: Tensor) -> Callable[[Tensor], Tensor]:
    """A logistic regression on `x` [n, d] with classes `signs` (1 and −1), float64; what it
    returns gives the log-odds of other rows.

    Inputs are brought to mean 0 and deviation 1; ½‖w‖² + Σ log-loss is minimized, which is
    scikit-learn's default.
    """
    mean, deviation = x.mean(0), x.std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1.0)
    rows = (x - mean) / scale
    weight = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight], max_iter=200, tolerance_grad=1e-8, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimizer.zero_grad()
        odds = rows @ weight[:-1] + weight[-1]
        value = torch.nn.functional.softplus(-signs * odds).sum()
        value = value + weight[:-1].square().sum() / 2
        value.backward()
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(loss)
    fitted = weight.detach()
    return lambda other: ((other - mean) / scale) @ fitted[:-1] + fitted[-1]

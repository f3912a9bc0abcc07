"""`evaluate` against a plain loop in float64, and what it says, writes and refuses."""

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lmsaes import SAE, ReLUConfig, TopKConfig, cache_activations, evaluate
from lmsaes.cache import ActivationCache
from lmsaes.demo import MODEL
from lmsaes.errors import CacheError, ConfigError, LmsaesError, ModelError
from lmsaes.evaluation import Evaluation
from lmsaes.model import LanguageModel
from lmsaes.sae import Gated, GatedConfig, read_evaluation, weights_digest
from tests.support.made_from_rows import sae_from_rows
from tests.support.small_capture import SMALL

RESID, EARLY = "blocks.2.hook_resid_post", "blocks.0.hook_resid_post"
MLP_IN, MLP_OUT = "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"
CONTEXTS = 10
CONFIGS = {
    "topk": TopKConfig(hook=RESID, k=4, features=48),
    "relu": ReLUConfig(hook=RESID, features=24, l1=1),
    "transcoder": TopKConfig(hook=MLP_IN, target=MLP_OUT, skip=True, k=4, features=40),
    "crosscoder": TopKConfig(hooks=(EARLY, RESID), k=4, features=40),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ActivationCache:
    out = tmp_path_factory.mktemp("evaluate") / "cache"
    hooks = [EARLY, RESID, MLP_IN, MLP_OUT]
    return cache_activations(**SMALL, hooks=hooks, dtype="float32", tokens=32 * CONTEXTS, out=out)


@pytest.fixture(scope="module")
def saes(cache: ActivationCache) -> dict[str, SAE]:
    run = Path(str(cache.path)).parent / "run"
    return {name: sae_from_rows(cache, config, run / name) for name, config in CONFIGS.items()}


@pytest.fixture(scope="module")
def found(cache: ActivationCache, saes: dict[str, SAE]) -> dict[str, Evaluation]:
    """All of them in one pass, in batches that don't divide the contexts."""
    run = Path(str(cache.path)).parent / "run"
    results = evaluate([run / name for name in saes], cache, device="cpu", batch_size=3)
    assert [each.name for each in results] == [f"run:{name}" for name in saes]
    return dict(zip(saes, results, strict=True))


def test_reconstruction_is_that_of_a_loop_over_rows_in_float64(found, saes, cache):
    valid = cache.valid_positions(cache.tokens(0, CONTEXTS))
    for name, sae in saes.items():
        x, y = (_rows(cache, hooks)[valid] for hooks in (sae.config.inputs, sae.config.outputs))
        expected = _plain_reconstruction(sae, x, y)
        for figure, value in expected.items():
            assert getattr(found[name], figure) == pytest.approx(value, rel=2e-5), (name, figure)
    assert found["topk"].l0 == 4
    assert found["topk"].rows == int(valid.sum())


def test_predictions_are_those_of_the_whole_model_with_a_hook(found, saes, cache):
    for name in ("topk", "transcoder"):
        sae = saes[name]
        expected = _plain_downstream(cache, sae, sae.config.outputs[0], 0)
        for figure, value in expected.items():
            assert getattr(found[name], figure) == pytest.approx(value, rel=1e-4), (name, figure)
    assert found["relu"].ce_clean == pytest.approx(found["topk"].ce_clean, rel=1e-9)


def test_a_crosscoder_is_measured_hook_by_hook(found, saes, cache):
    result, sae = found["crosscoder"], saes["crosscoder"]
    assert list(result.per_hook) == [EARLY, RESID]
    assert (result.ce_sae, result.kl) == (None, None)
    for index, hook in enumerate((EARLY, RESID)):
        expected = _plain_downstream(cache, sae, hook, index)
        for figure, value in expected.items():
            assert getattr(result.per_hook[hook], figure) == pytest.approx(value, rel=1e-4), figure
    parts = list(result.per_hook.values())
    assert result.mse == pytest.approx(sum(part.mse for part in parts), rel=1e-6)


def test_features_are_counted_as_by_hand(found, saes, cache):
    sae = saes["relu"]
    tokens = cache.tokens(0, CONTEXTS)
    fires = sae.encode(_rows(cache, (RESID,)).float().flatten(0, 1), dense=True) > 0
    fires = fires.view(CONTEXTS, 32, -1) & cache.valid_positions(tokens)[..., None]
    rows = int(cache.valid_positions(tokens).sum())
    density = fires.sum((0, 1)).double() / rows
    result = found["relu"]
    assert result.alive == float((density > 0).double().mean())
    assert result.dense_1 == float((density > 0.01).double().mean())
    assert result.dense_10 == float((density > 0.1).double().mean())
    assert sum(result.density_histogram) == int((density > 0).sum())
    edges = result.density_edges
    for count, low, high in zip(result.density_histogram, edges[:-1], edges[1:], strict=True):
        assert count == int(((density >= low) & (density < high)).sum()) or high == 1
    unit = torch.nn.functional.normalize(sae.W_dec, dim=1)
    cosines = (unit @ unit.T - 2 * torch.eye(len(unit))).amax(1)
    assert result.decoder_cosine == pytest.approx(float(cosines.mean()), rel=1e-5)
    assert result.decoder_cosine_max == pytest.approx(float(cosines.max()), rel=1e-5)
    # an error that leaves each context out in turn
    left = [
        float(fires[torch.arange(CONTEXTS) != c].any(0).any(0).double().mean())
        for c in range(CONTEXTS)
    ]
    spread = sum((each - sum(left) / CONTEXTS) ** 2 for each in left)
    assert result.alive_se == pytest.approx(math.sqrt(spread * 0.9), abs=1e-12)


def test_every_figure_has_an_error_and_none_is_nan(found):
    for result in found.values():
        dumped = json.loads(json.dumps(result.model_dump(mode="json"), allow_nan=False))
        for name in [n for n in dumped if n.endswith("_se")]:
            assert (dumped[name] is None) == (dumped[name.removesuffix("_se")] is None), name
    assert found["topk"].l0_se == 0
    assert found["topk"].fvu_se > 0
    assert found["topk"].fvu_se == found["topk"].explained_variance_se


def test_saes_of_one_output_are_compared_on_the_same_contexts(cache, saes, tmp_path):
    twin = sae_from_rows(cache, CONFIGS["topk"], tmp_path / "twin" / "topk")
    results = evaluate([saes_of(cache) / "topk", tmp_path / "twin", saes_of(cache) / "relu",
                        saes_of(cache) / "transcoder"], cache, model="none")  # fmt: skip
    assert twin.features == 48
    assert {(c.first, c.second) for c in results.comparisons} == {
        ("run:topk", "twin:topk"), ("run:topk", "run:relu"), ("twin:topk", "run:relu"),
    }  # fmt: skip
    differ = {(c.first, c.second, c.figure): c.differ for c in results.comparisons}
    assert differ["run:topk", "twin:topk", "fvu"] is False
    assert differ["run:topk", "run:relu", "l0"] is True
    assert all(each.ce_clean is None and each.kl_se is None for each in results)


def saes_of(cache: ActivationCache) -> Path:
    return Path(str(cache.path)).parent / "run"


def test_what_was_found_is_kept_in_config_json_and_the_sae_still_opens(cache, saes):
    folder = saes_of(cache) / "topk"
    result = evaluate(folder, cache, model="none")[0]
    kept = read_evaluation(folder)
    assert kept is not None
    assert Evaluation.model_validate(kept) == result
    assert torch.equal(SAE.load(folder).W_dec, saes["topk"].W_dec)
    content = json.loads((folder / "config.json").read_text())
    assert content["weights_sha256"] == weights_digest(folder)
    before = (folder / "config.json").read_bytes()
    evaluate(folder, cache, model="none", write=False, tokens=32)
    assert (folder / "config.json").read_bytes() == before


def test_rows_that_training_left_out_are_taken_and_it_is_said(cache, tmp_path):
    config = CONFIGS["topk"]
    sae_from_rows(cache, config, tmp_path / "part", contexts=7)
    sae_from_rows(cache, config, tmp_path / "all", contexts=CONTEXTS)
    sae_from_rows(cache, config, tmp_path / "less", contexts=4)

    def rows(*names: str, **settings: object) -> list[tuple[int, int, bool | None]]:
        paths = [tmp_path / name for name in names]
        results = evaluate(paths, cache, model="none", **settings)  # type: ignore[arg-type]
        return [(r.first_context, r.last_context, r.seen_in_training) for r in results]

    assert rows("part") == [(7, 9, False)]
    assert rows("part", "less") == [(7, 9, False)] * 2
    assert rows("part", "all") == [(0, 9, True)] * 2
    assert rows("part", heldout=0.2) == [(8, 9, False)]
    assert rows("less", "all", heldout=0.5) == [(5, 9, False), (5, 9, True)]
    assert rows("part", heldout=1) == [(0, 9, True)]
    result = evaluate(tmp_path / "part", cache, model="none")[0]
    assert result.rows_used == f"contexts 7 to 9 of {cache.path}; training did not see them"


def test_another_caches_rows_are_not_known_to_be_unseen_if_the_text_is_the_same(cache, tmp_path):
    sae_from_rows(cache, CONFIGS["topk"], tmp_path / "sae", contexts=CONTEXTS)
    settings = {**SMALL, "hooks": [RESID], "tokens": 96}
    same = cache_activations(**settings | {"context_size": 16}, out=tmp_path / "same")
    text = tmp_path / "other.jsonl"
    text.write_text('{"text": "The river was wide and the town lay on its bank."}\n' * 20)
    other = cache_activations(**settings | {"dataset": str(text)}, out=tmp_path / "other")
    assert evaluate(tmp_path / "sae", same, model="none")[0].seen_in_training is None
    assert evaluate(tmp_path / "sae", other, model="none")[0].seen_in_training is False


def test_layer_norm_and_gated_saes_are_measured_too(cache, tmp_path):
    for name, config in {
        "norm": TopKConfig(hook=RESID, k=4, features=16, normalize="layer_norm"),
        "gated": GatedConfig(hook=RESID, features=16),
    }.items():
        sae = sae_from_rows(cache, config, tmp_path / name)
        result = evaluate(tmp_path / name, cache, tokens=64)[0]
        assert result.contexts == 2
        valid = cache.valid_positions(cache.tokens(0, 2))
        x = _rows(cache, (RESID,))[:2][valid]
        assert result.mse == pytest.approx(
            float((x - sae(x.float())).square().sum(1).mean()), rel=1e-5
        )
        assert isinstance(sae, Gated) == (name == "gated")


def test_a_cache_with_processed_weights_goes_through_the_same_model(tmp_path):
    cache = cache_activations(
        **SMALL, hooks=[RESID], weights="processed", dtype="float32", tokens=64, out=tmp_path / "c"
    )
    sae = sae_from_rows(cache, CONFIGS["topk"], tmp_path / "sae")
    result = evaluate(tmp_path / "sae", cache)[0]
    expected = _plain_downstream(cache, sae, RESID, 0)
    for figure, value in expected.items():
        assert getattr(result, figure) == pytest.approx(value, rel=1e-4), figure


def test_padding_is_not_to_be_predicted(tmp_path):
    text = tmp_path / "short.jsonl"
    text.write_text('{"text": "The river was wide."}\n{"text": "A town."}\n')
    cache = cache_activations(
        **SMALL | {"dataset": str(text)}, hooks=[RESID], packing="truncate", dtype="float32",
        tokens=64, out=tmp_path / "c",
    )  # fmt: skip
    sae = sae_from_rows(cache, TopKConfig(hook=RESID, k=1, features=2), tmp_path / "sae")
    result = evaluate(tmp_path / "sae", cache)[0]
    expected = _plain_downstream(cache, sae, RESID, 0)
    assert result.ce_sae == pytest.approx(expected["ce_sae"], rel=1e-4)
    valid = cache.valid_positions(cache.tokens(0, 2))
    assert result.rows == int(valid.sum()) < 20


def test_rows_that_are_not_finite_are_left_out(cache, saes, monkeypatch, caplog):
    whole = ActivationCache.activations

    def broken(self: ActivationCache, hook: str, start: int, stop: int) -> Tensor:
        rows = whole(self, hook, start, stop).clone()
        if start == 0:
            rows[0, 0], rows[0, 5] = torch.inf, torch.nan
        return rows

    monkeypatch.setattr(ActivationCache, "activations", broken)
    result = evaluate(saes_of(cache) / "topk", cache, batch_size=4, write=False)[0]
    valid = int(cache.valid_positions(cache.tokens(0, CONTEXTS)).sum())
    assert result.rows == valid - 1
    assert "1 rows that are not finite" in caplog.text
    assert result.kl is not None
    assert result.kl < 5


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model": "nowhere/at/all"}, "there is no folder"),
        ({"heldout": 0}, "heldout"),
        ({"tokens": 0}, "tokens"),
        ({"plot": "picture.txt"}, "can't draw"),
        ({"plot": "nowhere/picture.png"}, "no folder"),
        ({"probe": "x.jsonl", "model": "none"}, "--probe needs the language model"),
        ({"probe": "x.jsonl"}, "can't read"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_is_measured(cache, saes, settings, why):
    with pytest.raises(LmsaesError, match=why):
        evaluate(saes_of(cache) / "topk", cache, **settings)


def test_saes_and_caches_that_do_not_fit_are_refused(cache, saes, tmp_path):
    with pytest.raises(CacheError):
        evaluate(saes_of(cache), tmp_path / "none")
    other = cache_activations(**SMALL, hooks=[EARLY], tokens=64, out=tmp_path / "other")
    with pytest.raises(ConfigError, match="does not hold hook"):
        evaluate(saes_of(cache) / "topk", other)
    with pytest.raises(ModelError):
        evaluate(saes_of(cache) / "topk", cache, model=str(tmp_path))


# ── the plain loops ──────────────────────────────────────────────────────────────────────────


def _rows(cache: ActivationCache, hooks: tuple[str, ...]) -> Tensor:
    """[contexts, positions, width] in float64."""
    parts = [cache.activations(hook, 0, cache.contexts).double() for hook in hooks]
    return torch.cat(parts, -1)


def _plain_reconstruction(sae: SAE, x: Tensor, y: Tensor) -> dict[str, float]:
    wide = type(sae)(sae.config, sae.d_in, sae.d_out).double().requires_grad_(False)
    wide.load_state_dict(sae.state_dict())
    features = wide.encode(x, dense=True)
    mean = [float(y[:, i].sum()) / len(y) for i in range(y.shape[1])]
    error = variation = cosine = norm_ratio = squares = dots = l1 = l0 = 0.0
    for row, active, given in zip(y, features, x, strict=True):
        out = wide.decode(active[None], given[None])[0]
        error += float((row - out).square().sum())
        variation += float((row - torch.tensor(mean, dtype=row.dtype)).square().sum())
        cosine += float(row @ out / (row.norm() * out.norm()))
        norm_ratio += float(out.norm() / row.norm())
        squares += float(out @ out)
        dots += float(row @ out)
        l0 += int((active > 0).sum())
        l1 += float(active.sum())
    rows = len(y)
    return {
        "l0": l0 / rows,
        "l1": l1 / rows,
        "mse": error / rows,
        "fvu": error / variation,
        "explained_variance": 1 - error / variation,
        "cosine_similarity": cosine / rows,
        "norm_ratio": norm_ratio / rows,
        "relative_reconstruction_bias": squares / dots,
    }


def _plain_downstream(cache: ActivationCache, sae: SAE, hook: str, place: int) -> dict[str, float]:
    """Cross-entropies and KL, context by context through the whole of TransformerLens' bridge."""
    bridge = LanguageModel.load(str(MODEL), "cpu", weights=cache.manifest.model.weights).bridge
    tokens = cache.tokens(0, cache.contexts)
    special, padding = cache.manifest.text.special_ids, cache.manifest.text.padding_id
    statistics = cache.hooks[hook].valid
    assert statistics is not None
    losses: dict[str, list[float]] = {"clean": [], "sae": [], "zero": [], "mean": []}
    kls: dict[str, list[float]] = {"sae": [], "zero": []}
    for context in tokens:
        valid = torch.tensor([i > 0 and int(t) not in special for i, t in enumerate(context)])

        with torch.inference_mode():
            arguments = bridge, context, valid, sae, hook, place, torch.tensor(statistics.mean)
            clean = _plain_logits("clean", *arguments).log_softmax(-1)
            for kind, kept in losses.items():
                found = _plain_logits(kind, *arguments).log_softmax(-1)
                for i in range(len(context)):
                    if not valid[i]:
                        continue
                    if kind in kls:
                        kl = (clean[i].exp() * (clean[i] - found[i])).sum()
                        kls[kind].append(float(kl))
                    rest = context[i + 1 :].tolist()
                    if rest and any(token != padding for token in rest):
                        kept.append(-float(found[i, rest[0]]))
    ce = {kind: sum(kept) / len(kept) for kind, kept in losses.items()}
    kl = {kind: sum(kept) / len(kept) for kind, kept in kls.items()}
    return {
        **{f"ce_{kind}": value for kind, value in ce.items()},
        "ce_recovered_zero": (ce["zero"] - ce["sae"]) / (ce["zero"] - ce["clean"]),
        "ce_recovered_mean": (ce["mean"] - ce["sae"]) / (ce["mean"] - ce["clean"]),
        "kl": kl["sae"],
        "kl_zero": kl["zero"],
        "kl_recovered_zero": 1 - kl["sae"] / kl["zero"],
    }


def _plain_logits(
    kind: str, bridge, context: Tensor, valid: Tensor, sae: SAE, hook: str, place: int, mean: Tensor
) -> Tensor:
    """Of one context, float64 [positions, vocabulary], with what is put in the hook's place."""
    inputs: dict[str, Tensor] = {}

    def swap(old: Tensor, hook: object) -> Tensor:
        if kind == "zero":
            return torch.zeros_like(old)
        new = mean.expand_as(old)
        if kind == "sae":
            x = torch.cat([inputs[name][0] for name in sae.config.inputs], -1)
            new = sae(x).view(x.shape[0], len(sae.config.outputs), -1)[None, :, place]
        return torch.where(valid[None, :, None], new, old)

    def keep(old: Tensor, hook: object, name: str) -> Tensor:
        inputs[name] = old
        return old

    reads = [(name, partial(keep, name=name)) for name in sae.config.inputs]
    if len(reads) > 1:  # a crosscoder's later input comes after the hook that it replaces
        bridge.run_with_hooks(context[None], fwd_hooks=reads)
        reads = []
    ends = [] if kind == "clean" else [(hook, swap)]
    return bridge.run_with_hooks(context[None], fwd_hooks=[*reads, *ends])[0].double()

"""SAELens' own figures of an exported SAE: golden/make_saelens.py made them with sae-lens."""

import json

import pytest

from lmsaes import evaluate
from tests.evaluation.golden.make_saelens import GOLDEN, make


def test_figures_are_those_of_saelens_to_six_digits(tmp_path):
    golden = json.loads(GOLDEN.read_text())
    cache, _, folder = make(tmp_path)
    found = evaluate(folder, cache, device="cpu", batch_size=5)[0]
    behavior, performance = (golden[f"model_{kind}_preservation"] for kind in
                             ("behavior", "performance"))  # fmt: skip
    quality, shrinkage, sparsity = (
        golden[group] for group in ("reconstruction_quality", "shrinkage", "sparsity")
    )
    expected = {
        "ce_clean": performance["ce_loss_without_sae"],
        "ce_sae": performance["ce_loss_with_sae"],
        "ce_zero": performance["ce_loss_with_ablation"],
        "ce_recovered_zero": performance["ce_loss_score"],
        "kl": behavior["kl_div_with_sae"],
        "kl_zero": behavior["kl_div_with_ablation"],
        "kl_recovered_zero": behavior["kl_div_score"],
        "explained_variance": quality["explained_variance"],
        "mse": quality["mse"],
        "cosine_similarity": quality["cossim"],
        "norm_ratio": shrinkage["l2_ratio"],
        # of one batch, so that it is theirs too
        "relative_reconstruction_bias": shrinkage["relative_reconstruction_bias"],
        "l0": sparsity["l0"],
        "l1": sparsity["l1"],
        "alive": golden["alive"],
    }
    for figure, value in expected.items():
        assert getattr(found, figure) == pytest.approx(value, rel=1e-6), figure

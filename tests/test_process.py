"""The library changes nothing of the process that uses it; that is for commands to do."""

import json
import os
import subprocess
import sys

WHAT_IS_THERE = """
import json, logging, os, pkgutil, signal, sys, warnings
# What other libraries change when they are imported and first used is not ours.
import datasets, huggingface_hub, numcodecs.zarr3, sympy, torch, transformers, zarr
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer
from lmsaes.demo import MODEL
model = AutoModelForCausalLM.from_pretrained(MODEL, attn_implementation="eager")
tokenizer = AutoTokenizer.from_pretrained(MODEL)
TransformerBridge.boot_transformers(str(MODEL), hf_model=model, tokenizer=tokenizer, device="cpu")
logging.root.handlers.clear()
logging.getLogger("transformers").setLevel(logging.INFO)
logging.getLogger("huggingface_hub").setLevel(logging.WARNING)

from huggingface_hub.utils import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

def state():
    loggers = ["", "transformers", "transformer_lens", "huggingface_hub", "datasets", "lmsaes"]
    return {
        "environment": dict(os.environ),
        "warnings": [str(filter) for filter in warnings.filters],
        "levels": {name: logging.getLogger(name).level for name in loggers},
        "handlers": {name: len(logging.getLogger(name).handlers) for name in loggers},
        "disabled": logging.root.manager.disable,
        "bars of datasets": datasets.are_progress_bars_disabled(),
        "bars of transformers": transformers_logging.is_progress_bar_enabled(),
        "bars of the hub": are_progress_bars_disabled(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "dtype": str(torch.get_default_dtype()),
        "random": torch.get_rng_state().sum().item(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "directory": os.getcwd(),
        "streams": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    }

before = state()
print("ready", flush=True)
"""
USES = """
import importlib, lmsaes

for module in pkgutil.walk_packages(lmsaes.__path__, "lmsaes."):
    importlib.import_module(module.name)
imported = state()

from lmsaes.demo import HELDOUT
from lmsaes.model import LanguageModel
from lmsaes.provenance import TextRecord
from lmsaes.sae import SAE, ReLUConfig, TopKConfig
from lmsaes.text import ContextStream, load_mixture
from lmsaes.training import Normalization, SAETrainer

lm = LanguageModel.load(str(MODEL), device="cpu")
hook = "blocks.1.hook_resid_pre"
lm.find_hooks([hook])
lm.specialize([hook])
how = TextRecord(
    dataset="heldout", fingerprint="0", tokenizer_hash="0", context_size=32, bos=True, bos_id=0,
    separator_id=0, special_ids=(0,),
)
text = ContextStream(load_mixture([str(HELDOUT)]), lm.tokenizer, how, lm.vocabulary)
tokens = torch.from_numpy(text.take(8).tokens).long()
x = lm.activations(tokens, [hook])[hook].flatten(0, 1).clone()
scale = Normalization(torch.zeros(x.shape[1]), torch.ones(x.shape[1]), float(x.shape[1]))
for config in (TopKConfig(features=64, k=4), ReLUConfig(features=64)):
    trainer = SAETrainer(SAE.create(config, x.shape[1]), 4, 4 * len(x), scale, scale)
    for _ in range(4):
        trainer.step(x, x)
    trainer.report()
    trainer.finished_sae().save(sys.argv[1])
    SAE.load(sys.argv[1]).encode(x)
# how malloc is set can't be read back
assert lmsaes.training.keep_freed_memory.cache_info().currsize == 0
print(json.dumps([before, imported, state()]))
"""


def test_importing_and_using_the_library_changes_nothing_of_its_process(tmp_path):
    told = ("HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_VERBOSITY")  # by the tests
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IS_THERE + USES, tmp_path],
        env={name: value for name, value in os.environ.items() if name not in told},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("ready\n")[1]
    before, imported, used = json.loads(printed)  # nor does it print anything else
    assert imported == before
    assert used == before
    assert "beta" not in done.stderr

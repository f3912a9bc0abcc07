"""`lmsaes`: the commands, and what they set of the process before anything heavy is loaded."""

import logging
import os
import sys
import warnings

from lmsaes.cli.group import Command, lazy_app

app = lazy_app(
    {
        "cache": Command(
            "lmsaes.cli.cache:cache",
            "Run a language model over text once and store its activations.",
        ),
        "train": Command(
            "lmsaes.cli.train:train", "Train one SAE, or many at once, on cached activations."
        ),
        "eval": Command(
            "lmsaes.cli.eval:evaluate",
            "Measure SAEs on a cache: reconstruction, sparsity, cross-entropy recovered.",
        ),
        "runs": Command("lmsaes.cli.runs:runs", "List, show and compare runs of `lmsaes train`."),
        "prune": Command(
            "lmsaes.cli.prune:prune",
            "Write a copy of an SAE without features that never fire, are weak or short.",
        ),
        "analyze": Command(
            "lmsaes.cli.analyze:analyze",
            "Find each feature's top contexts and numbers, for any number of SAEs in one pass.",
        ),
        "show": Command(
            "lmsaes.cli.show:show",
            "Show a feature: its numbers, its tokens, its contexts with their activations in "
            "color.",
        ),
        "steer": Command(
            "lmsaes.cli.steer:steer",
            "Complete a prompt with a feature edited, beside the model's own completion.",
        ),
        "trace": Command(
            "lmsaes.cli.trace:trace",
            "Explain what a model says by its transcoders' features, as a graph with its proof.",
        ),
        "explain": Command(
            "lmsaes.cli.explain:explain",
            "Say what features stand for, or have a language model say it and score what it says.",
        ),
        "serve": Command(
            "lmsaes.cli.serve:serve",
            "Show the SAEs in the database in a browser, until Ctrl-C.",
        ),
        "db": Command(
            "lmsaes.cli.db:db",
            "List, rename, remove, dump and restore the SAEs and graphs in the database.",
        ),
        "import": Command(
            "lmsaes.cli.import_:import_",
            "Read an SAE of another library, from a folder or the Hugging Face hub.",
        ),
        "export": Command(
            "lmsaes.cli.export:export",
            "Write an SAE, or all of a run, in the layout of another library.",
        ),
        "demo": Command(
            "lmsaes.cli.demo:demo",
            "Cache, train, evaluate, analyze and serve on a small model, printing each command.",
        ),
        "tools": Command(
            "lmsaes.cli.tools:tools", "Inspect, check, convert or delete an activation cache."
        ),
    },
    help="Cache a language model's activations once, train many sparse autoencoders on them, "
    "and read their features in a browser.",
)

_QUIET = {
    # Threads inside a tokenizer are safe here: nothing forks after it has run.
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "critical",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "DATASETS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}
# a user who sets one of these has chosen how idle threads wait
_OPENMP_WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


@app.callback()
def settle_process() -> None:
    """Has other libraries keep their progress bars, advice and warnings to themselves, and idle
    threads sleep.

    It is the commands' business, since it holds for the whole process; what the user has set in
    the environment stays.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # Threads without work would spin on the cores that another run needs, or this run's own next
    # operation. OpenMP reads it once, when torch is loaded: no command has imported it by now.
    if not _OPENMP_WAITING & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if not sys.warnoptions:
        # torch's sparse products are tested here; that it calls them beta helps nobody at a prompt
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


def main() -> None:
    """The console script."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("lmsaes")
    logger.addHandler(handler)
    # of the processes of a torchrun the first tells what is done, the others what is wrong
    logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    # libraries that set up the root logger would print each line once more
    logger.propagate = False
    app()

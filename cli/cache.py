"""`lmsaes cache`: run a language model once and keep what its hooks saw."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lmsaes.cache import Compression, StorageDtype, StorageFormat
from lmsaes.provenance import Packing


def cache(
    model: Annotated[
        str, typer.Option(help="TransformerLens or Hugging Face name, or a local folder")
    ],
    dataset: Annotated[
        list[str],
        typer.Option(
            help="Hugging Face name, folder of save_to_disk, or .txt, .jsonl, .parquet or .csv "
            "file (also compressed; a folder or glob of them); several make a mixture"
        ),
    ],
    hook: Annotated[
        list[str], typer.Option(help="hook point or glob, such as blocks.*.hook_resid_post")
    ],
    out: Annotated[
        str, typer.Option(help="folder of the cache, or s3://bucket/prefix and the like")
    ],
    tokens: Annotated[str, typer.Option(help="token positions to store, as 200k or 100M")] = "100M",
    context_size: Annotated[int, typer.Option(help="tokens per context")] = 128,
    dtype: Annotated[StorageDtype, typer.Option(help="how activations are stored")] = "float16",
    format: Annotated[StorageFormat, typer.Option(help="kind of store")] = "safetensors",
    compression: Annotated[Compression, typer.Option(help="of zarr stores")] = "none",
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="contexts per forward pass [default: 16 on a CPU, 128 on a GPU]",
            min=1,
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, …")] = "auto",
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="split of the dataset; for a mixture, once for all or once "
            "for each [default: train]",
            show_default=False,
        ),
    ] = None,
    text_column: Annotated[
        list[str] | None,
        typer.Option(
            help="column that holds the text, or lists of token ids [default: text]",
            show_default=False,
        ),
    ] = None,
    mix: Annotated[
        list[float] | None,
        typer.Option(
            help="weight of each dataset in a mixture, as a share of all tokens [default: equal]",
            show_default=False,
        ),
    ] = None,
    packing: Annotated[
        Packing,
        typer.Option(
            help="packed: documents follow each other; truncate: a context for each, cut off at "
            "its end; split: longer ones go on in further contexts"
        ),
    ] = "packed",
    bos: Annotated[
        bool | None,
        typer.Option(
            "--bos/--no-bos",
            help="start contexts with the beginning-of-text token [default: if there is one]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of --shuffle")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace the cache that is in the folder")
    ] = False,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="permute the documents")] = False,
    model_dtype: Annotated[
        str, typer.Option(help="the model runs in float32, bfloat16 or float16")
    ] = "float32",
    compile: Annotated[
        bool, typer.Option("--compile", help="compile the forward pass (torch.compile)")
    ] = False,
    weights: Annotated[
        Literal["raw", "processed"],
        typer.Option(help="raw, or processed as TransformerLens does by default"),
    ] = "raw",
    revision: Annotated[str | None, typer.Option(help="revision of the model")] = None,
    dataset_config: Annotated[
        list[str] | None, typer.Option(help="configuration of the dataset")
    ] = None,
    dataset_revision: Annotated[
        list[str] | None, typer.Option(help="revision of the dataset")
    ] = None,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="read a hub dataset without downloading it whole")
    ] = False,
    shard_size: Annotated[str, typer.Option(help="bytes of one hook per file")] = "512MiB",
    block_size: Annotated[str, typer.Option(help="bytes of one hook per read")] = "4MiB",
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="keep NaN and infinite values")
    ] = False,
    allow_compute_change: Annotated[
        bool,
        typer.Option(
            "--allow-compute-change",
            help="go on with a cache that was begun under another batch size, device, attention or "
            "--compile: its rows differ by rounding, and each shard says what made it",
        ),
    ] = False,
) -> None:
    """Run a language model over text once and store its activations.

    Run it again to continue an unfinished cache; with more --tokens or another --hook, to add
    them to one that is there. Under torchrun --no-python, all processes write one cache.
    """
    from lmsaes.capture import cache_activations
    from lmsaes.parallel import is_first_rank

    done = cache_activations(
        model=model,
        dataset=dataset,
        hooks=hook,
        out=out,
        tokens=tokens,
        context_size=context_size,
        dtype=dtype,
        format=format,
        compression=compression,
        batch_size=batch_size,
        device=device,
        split=split or "train",
        text_column=text_column or "text",
        mix=mix,
        packing=packing,
        bos=bos,
        seed=seed,
        overwrite=overwrite,
        shuffle=shuffle,
        model_dtype=model_dtype,
        compile=compile,
        weights=weights,
        revision=revision,
        dataset_config=dataset_config,
        dataset_revision=dataset_revision,
        streaming=streaming,
        shard_size=shard_size,
        block_size=block_size,
        allow_nonfinite=allow_nonfinite,
        allow_compute_change=allow_compute_change,
    )
    if not is_first_rank():
        return
    first = next(iter(done.hooks))
    typer.echo(
        f"{out} holds {done.rows:,} tokens; "
        f"next: lmsaes train --cache {out} --hook {first} --out runs/{Path(out).name}"
    )

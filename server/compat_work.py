"""What the routes of Language-Model-SAEs ask the model; it needs torch and is loaded at the first.

A text's tokens, each with the features that fire there, by index:

    context                [tokens]
    feature_acts_indices   [tokens][that fire]      feature_acts, max_feature_acts   the same shape
"""

from itertools import pairwise

import numpy as np
import torch

from lmsaes.database import SAERecord
from lmsaes.errors import ConfigError
from lmsaes.sae import SparseRows
from lmsaes.steering import (
    Edit,
    Finished,
    GrowingText,
    Sampling,
    check_fits,
    check_length,
    stream,
    tokenize,
)
from lmsaes.text import strings_of

from .compat_schemas import Answer, Generate
from .live import Live
from .live_schemas import AskedEdit, AskedText
from .model_work import check_tokens, edit_of, encoded_text, only_model
from .store import Store

_MOST = 1_000_000  # activations of an answer


def active_features(text: str, record: SAERecord, store: Store, live: Live) -> Answer:
    """What fires on a text, token by token."""
    with live.turn():
        encoded = encoded_text(live, [record], AskedText(text=text))
    return {"context": encoded.tokens, **_active(encoded.features[0], record, store)}


def generated(asked: Generate, store: Store, live: Live) -> Answer:
    """A completion with features steered, its likeliest next tokens, and what fires in it."""
    names = dict.fromkeys([*asked.saes, *(each.sae for each in asked.steerings)])
    records = {name: store.sae(name) for name in names}
    if not records and not (records := {each.name: each for each in store.database.saes()[:1]}):
        raise ConfigError("the database is empty: there is no SAE whose model could be asked")
    with live.turn() as deadline:
        lm = only_model(live, records.values())
        text = tokenize(lm, asked.input_text)
        check_tokens(live, len(text))
        check_length(lm, len(text) + asked.max_new_tokens)
        count = len(text) + asked.max_new_tokens
        live.check_memory("this completion", 16 * count * lm.vocabulary)
        edits = [_edit(live, records, asked, place) for place in range(len(asked.steerings))]
        ids, written = text.token_ids, ""
        if asked.max_new_tokens:
            sampling = Sampling(asked.temperature, asked.top_p, asked.seed)
            for event in stream(lm, text, [edits], asked.max_new_tokens, sampling):
                live.check_time(deadline)
                if isinstance(event, Finished) and event.set == 0:
                    ids, written = [*ids, *event.completion.token_ids], event.completion.text
        saes = [live.sae(records[name]) for name in asked.saes]
        reads = [check_fits(sae, lm).reads for sae in saes]
        hooks = sorted({hook for own in reads for hook in own})
        passed = GrowingText(lm, edits, len(text), cache=False, reads=hooks)
        best = passed.extend(ids).float().topk(asked.return_logits_top_k, 1)
        with torch.inference_mode():
            rows = [torch.cat([passed.last_read[h][0] for h in own], 1) for own in reads]
            fired = [
                sae.encode(x.to(sae.W_dec.device).float()).to("cpu")
                for sae, x in zip(saes, rows, strict=True)
            ]
    prompt = asked.input_text if isinstance(asked.input_text, str) else "".join(text.tokens)
    likeliest: list[list[int]] = best.indices.tolist()
    return {
        "context": strings_of(lm.tokenizer, ids),
        "text": prompt + written,
        "token_ids": ids,
        "input_mask": [1] * len(ids),
        "logits": {
            "logits": best.values.tolist(),
            "tokens": [strings_of(lm.tokenizer, own) for own in likeliest],
            "token_ids": likeliest,
        },
        "sae_info": [
            {"name": name, **_active(own, records[name], store)}
            for name, own in zip(asked.saes, fired, strict=True)
        ],
    }


def _active(rows: SparseRows, record: SAERecord, store: Store) -> Answer:
    """The entries above 0 of [tokens, features]."""
    if len(rows.values) > _MOST:
        raise ConfigError(f"{len(rows.values)} activations are too many", "give a shorter text")
    start, stop = record.feature_range
    known = np.full(record.features, np.nan)
    known[start:stop] = store.features(record).columns["maximum"]
    indices, values, maxima = list[list[int]](), list[list[float]](), list[list[float | None]]()
    for first, last in pairwise(rows.offsets.tolist()):
        own = rows.indices[first:last][rows.values[first:last] > 0].numpy()
        acts = rows.values[first:last][rows.values[first:last] > 0]
        order = np.argsort(own)
        indices.append(own[order].tolist())
        values.append(acts.numpy()[order].tolist())
        maxima.append([None if np.isnan(m) else float(m) for m in known[own[order]]])
    return {"feature_acts_indices": indices, "feature_acts": values, "max_feature_acts": maxima}


def _edit(live: Live, records: dict[str, SAERecord], asked: Generate, place: int) -> Edit:
    each = asked.steerings[place]
    edit = AskedEdit(
        sae=each.sae,
        feature=each.feature_index,
        method="scale" if each.steering_type == "times" else each.steering_type,
        value=None if each.steering_type == "ablate" else each.steering_value,
    )
    return edit_of(live, records, edit)

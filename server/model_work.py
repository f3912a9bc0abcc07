"""What the routes that ask the language model do; it needs torch and is loaded at the first.

records ──► live (model and SAEs, in one's turn) ──► lmsaes.steering ──► schemas
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter

from lmsaes.database import SAERecord
from lmsaes.errors import ConfigError, LmsaesError
from lmsaes.model import LanguageModel
from lmsaes.steering import (
    DatabaseFeatures,
    Edit,
    EncodedText,
    Finished,
    NewToken,
    RankedFeature,
    Sampling,
    TokenizedText,
    When,
    check_length,
    encode_text,
    loss_effects,
    rank_features,
    stream,
    surprise,
    tokenize,
)
from lmsaes.text import strings_of

from .live import Live
from .live_schemas import (
    Activations,
    ActivationsRequest,
    AskedEdit,
    AskedText,
    CompareRequest,
    Comparison,
    CompletionEvent,
    ContextLossEffect,
    ErrorEvent,
    FeatureAtToken,
    Hidden,
    LikelyToken,
    LossEffect,
    LossEffectRequest,
    SteerRequest,
    TextFeature,
    TextToken,
    TokenEvent,
    TokenizeRequest,
    Tokens,
)
from .middleware import with_hint
from .store import GoneError, NotFoundError, Store

_EVENT: TypeAdapter[TokenEvent | CompletionEvent | ErrorEvent] = TypeAdapter(
    Annotated[TokenEvent | CompletionEvent | ErrorEvent, Field(discriminator="event")]
)


def tokens_of(asked: TokenizeRequest, store: Store, live: Live) -> Tokens:
    """A text as tokens."""
    record = store.sae(asked.sae)
    with live.turn():
        text = _tokenized(live, live.model(record), asked)
    return Tokens(tokens=_tokens(text), bos_added=text.bos_added)


def activations_of(
    asked: ActivationsRequest, record: SAERecord, store: Store, live: Live
) -> Activations:
    """What an SAE's features do on a text."""
    with live.turn():
        encoded = encoded_text(live, [record], asked)
    return _answer(store, record, encoded, 0, asked)


def comparison_of(asked: CompareRequest, store: Store, live: Live) -> Comparison:
    """One or two texts through some SAEs of one model."""
    records = [store.sae(name) for name in asked.saes]
    if len({record.model for record in records}) > 1:
        raise ConfigError("the SAEs are of different models", "name those of one model")
    how = asked.model_dump(exclude={"saes", "texts"})
    requests = [ActivationsRequest(text=text, per_token=0, **how) for text in asked.texts]
    with live.turn():
        encoded = [encoded_text(live, records, request) for request in requests]
    return Comparison(
        results=[
            [_answer(store, record, found, which, request) for which, record in enumerate(records)]
            for request, found in zip(requests, encoded, strict=True)
        ]
    )


def loss_effect_of(
    asked: LossEffectRequest, index: int, record: SAERecord, store: Store, live: Live
) -> LossEffect:
    """What taking a feature out of stored contexts does to the next tokens."""
    if asked.analysis not in (None, record.analysis):
        raise GoneError.of_analysis(record.name, asked.analysis)
    store.features(record).check(index)
    known = store.database.context_records(record.cache, list(dict.fromkeys(asked.contexts)))
    if missing := [context for context in asked.contexts if context not in known]:
        raise NotFoundError(f"the database has no context {missing[0]} of '{record.name}'")
    found: list[ContextLossEffect] = []
    with live.turn() as deadline:
        lm = live.model(record)
        live.check_memory("a context", 12 * record.context_size * lm.vocabulary)
        tokens = (known[context].tokens.tolist() for context in asked.contexts)
        effects = loss_effects(lm, live.sae(record), index, tokens)
        for context, changes in zip(asked.contexts, effects, strict=True):
            found.append(ContextLossEffect(context=context, changes=changes))
            live.check_time(deadline)
    return LossEffect(sae=record.name, analysis=record.analysis, feature=index, contexts=found)


def steered(asked: SteerRequest, store: Store, live: Live) -> Generator[str]:
    """Events of completions, as server-sent events."""
    names = {edit.sae for own in asked.edits for edit in own}
    names |= {edit.when.sae for own in asked.edits for edit in own if edit.when}
    records = {name: store.sae(name) for name in sorted(names)}
    with live.turn() as deadline:
        lm = only_model(live, records.values())
        size = 4 * lm.vocabulary * asked.tokens * (len(asked.edits) + 1)
        live.check_memory("these completions", 4 * size)
        text = tokenize(lm, asked.prompt, asked.bos)
        check_tokens(live, len(text))
        check_length(lm, len(text) + asked.tokens)
        edits = [[edit_of(live, records, edit) for edit in own] for own in asked.edits]
        sampling = Sampling(asked.temperature, asked.top_p, asked.seed)
        events = stream(lm, text, edits, asked.tokens, sampling)
        yield ": \n\n"  # all that is asked for can be done
        try:
            for event in events:
                live.check_time(deadline)
                if isinstance(event, NewToken):
                    yield _line(_token_event(lm, event, asked))
                else:
                    yield _line(_completion_event(event))
        except LmsaesError as error:  # after the stream's head has gone out
            yield _line(ErrorEvent(detail=with_hint(error)))
        finally:
            events.close()


@dataclass(frozen=True)
class Completed:
    """A completion as other programs are answered."""

    prompt: list[str]
    tokens: list[str]
    text: str
    log_probabilities: list[dict[str, Any]]  # token, logprob, topLogprobs


def completed(
    prompt: str,
    edits: list[AskedEdit],
    store: Store,
    live: Live,
    likeliest: int = 0,
    **how: Any,
) -> tuple[Completed, Completed]:
    """A completion with edits, and the model's own. Raises ConfigError where it takes too long."""
    asked = SteerRequest(prompt=prompt, edits=[edits], log_probabilities=likeliest, **how)
    tokens: dict[int | None, list[TokenEvent]] = {None: [], 0: []}
    texts: dict[int | None, str] = {}
    for line in steered(asked, store, live):
        if line.startswith("data: "):
            event = _EVENT.validate_json(line.removeprefix("data: "))
            if isinstance(event, ErrorEvent):
                raise ConfigError(event.detail)
            if isinstance(event, TokenEvent):
                tokens[event.set].append(event)
            else:
                texts[event.set] = event.text
    shown = tokens_of(TokenizeRequest(sae=edits[0].sae, text=prompt), store, live)
    first, second = (
        Completed(
            prompt=[token.token for token in shown.tokens],
            tokens=[event.text for event in tokens[which]],
            text=texts[which],
            log_probabilities=[
                {
                    "token": event.text,
                    "logprob": event.log_probability,
                    "topLogprobs": [
                        {"token": each.token, "logprob": each.log_probability}
                        for each in event.likeliest
                    ],
                }
                for event in tokens[which]
            ],
        )
        for which in (0, None)
    )
    return first, second


def _line(event: TokenEvent | CompletionEvent | ErrorEvent) -> str:
    return f"data: {event.model_dump_json()}\n\n"


def _token_event(lm: LanguageModel, event: NewToken, asked: SteerRequest) -> TokenEvent:
    log_probabilities = event.logits.log_softmax(0)
    best = log_probabilities.topk(asked.log_probabilities)
    ids: list[int] = best.indices.tolist()
    names = strings_of(lm.tokenizer, ids) if ids else []
    return TokenEvent(
        set=event.set,
        place=event.place,
        id=event.token_id,
        text=event.text,
        log_probability=float(log_probabilities[event.token_id]),
        likeliest=[
            LikelyToken(id=i, token=token, log_probability=value)
            for i, token, value in zip(ids, names, best.values.tolist(), strict=True)
        ],
    )


def _completion_event(event: Finished) -> CompletionEvent:
    done = event.completion
    return CompletionEvent(
        set=event.set, text=done.text, token_ids=done.token_ids, kl=done.kl.tolist()
    )


def edit_of(live: Live, records: dict[str, SAERecord], asked: AskedEdit) -> Edit:
    """An edit with the SAEs that it names. Only within one's turn."""
    when = asked.when
    condition = when and When(live.sae(records[when.sae]), when.feature, when.above)
    how = {"ablate": True} if asked.method == "ablate" else {asked.method: asked.value}
    return Edit(
        live.sae(records[asked.sae]),
        asked.feature,
        positions=asked.positions,
        special=asked.special,
        when=condition,
        **how,  # pyright: ignore[reportArgumentType]
    )


def _tokenized(live: Live, lm: LanguageModel, asked: AskedText) -> TokenizedText:
    given = asked.text if asked.text is not None else asked.token_ids
    assert given is not None  # the request was checked
    text = tokenize(lm, given, asked.bos)
    check_tokens(live, len(text))
    return text


def check_tokens(live: Live, count: int) -> None:
    """Raises ConfigError for a text of more tokens than a request may have."""
    if count > live.limits.tokens:
        raise ConfigError(
            f"{count} tokens are more than the {live.limits.tokens} of a request",
            "give a shorter text",
        )


def only_model(live: Live, records: Iterable[SAERecord]) -> LanguageModel:
    """The one model of some SAEs. Only within one's turn. Raises ConfigError for several."""
    models = {id(model): model for model in map(live.model, records)}
    if len(models) > 1:
        raise ConfigError("the SAEs are of different models", "name those of one model")
    (lm,) = models.values()
    return lm


def encoded_text(live: Live, records: Sequence[SAERecord], asked: AskedText) -> EncodedText:
    """A text through some SAEs of one model. Only within one's turn."""
    lm = only_model(live, records)
    text = _tokenized(live, lm, asked)
    widest = max(record.features for record in records)
    live.check_memory("this text", 8 * len(text) * (widest + lm.vocabulary))
    return encode_text(lm, [live.sae(record) for record in records], text)


def _answer(
    store: Store, record: SAERecord, encoded: EncodedText, which: int, asked: ActivationsRequest
) -> Activations:
    analyzed = DatabaseFeatures(store.database, record)
    ranking = rank_features(
        encoded,
        which,
        asked.rank,
        asked.limit,
        asked.positions,
        asked.ignore_special,
        asked.density_max,
        analyzed,
    )
    return Activations(
        sae=record.name,
        analysis=record.analysis,
        tokens=_tokens(encoded.text, encoded.log_probabilities),
        bos_added=encoded.text.bos_added,
        total=ranking.total,
        hidden=Hidden(dense=ranking.hidden_dense, special=ranking.hidden_special),
        features=_features(ranking.features, analyzed),
        chosen=_features(_chosen(record, encoded, which, asked, analyzed), analyzed),
        per_token=_per_token(encoded, which, asked.per_token),
        active=_active(encoded, which),
        variance_explained=[_four(v) for v in encoded.variance_explained[which].tolist()],
    )


def _chosen(
    record: SAERecord,
    encoded: EncodedText,
    which: int,
    asked: ActivationsRequest,
    analyzed: DatabaseFeatures,
) -> list[RankedFeature]:
    """The features asked for by index that fire on the text, in the order asked."""
    if missing := [i for i in asked.features if i >= record.features]:
        raise ConfigError(
            f"'{record.name}' has no feature {missing[0]}",
            f"it has features 0 to {record.features - 1}",
        )
    if not asked.features:
        return []
    everything = rank_features(
        encoded, which, asked.rank, record.features, None, False, None, analyzed
    )
    found = {feature.index: feature for feature in everything.features}
    return [found[index] for index in asked.features if index in found]


def _per_token(encoded: EncodedText, which: int, count: int) -> list[list[FeatureAtToken]]:
    rows = encoded.features[which]
    found: list[list[FeatureAtToken]] = []
    for start, end in zip(rows.offsets[:-1].tolist(), rows.offsets[1:].tolist(), strict=True):
        values, indices = rows.values[start:end], rows.indices[start:end]
        best = values.topk(min(count, len(values)))
        found.append(
            [
                FeatureAtToken(index=int(indices[place]), activation=_four(value))
                for place, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ]
        )
    return found


def _active(encoded: EncodedText, which: int) -> list[int]:
    rows = encoded.features[which]
    firing = rows.row_ids()[rows.values > 0]
    return firing.bincount(minlength=len(encoded.text)).tolist()


def _tokens(text: TokenizedText, known: torch.Tensor | None = None) -> list[TextToken]:
    log_probabilities = [None] * len(text) if known is None else known.tolist()
    return [
        TextToken(
            id=token_id,
            token=token,
            start=None if place is None else place[0],
            end=None if place is None else place[1],
            special=special,
            log_probability=log_probability,
        )
        for token_id, token, place, special, log_probability in zip(
            text.token_ids, text.tokens, text.offsets, text.special, log_probabilities, strict=True
        )
    ]


def _features(ranked: Sequence[RankedFeature], analyzed: DatabaseFeatures) -> list[TextFeature]:
    indices, maxima = [each.index for each in ranked], [each.maximum for each in ranked]
    bits = surprise(analyzed, indices, maxima).tolist()
    return [
        TextFeature(
            index=each.index,
            score=each.score,
            maximum=each.maximum,
            position=each.position,
            sum=each.sum,
            share=each.share,
            surprise=own,
            density=each.density,
            values=[_four(value) for value in each.values.tolist()],
        )
        for each, own in zip(ranked, bits, strict=True)
    ]


def _four(value: float) -> float:
    """Four decimals are enough for a color."""
    return round(value, 4)

"""What a language model is asked about a feature, and how its answers are read.

An answer that can't be read is None: missing, and neither right nor wrong.
"""

import re
from collections.abc import Sequence

import numpy as np

from lmsaes.explain.examples import Window

_SHOWN_FROM = 0.3  # of the window's maximum: weaker tokens are not marked
_STRENGTHS = 8  # tokens whose strength is given
_LONGEST_LABEL = 300

_EXPLAIN = """\
You are shown short texts on which one feature of a language model is active. The tokens on which \
it is active stand in <<...>>. After each text come the strengths of the strongest tokens, from 1 \
to 10.

Find what these places have in common: what the marked tokens are, what stands before them, or \
what the text is about. Say it in one short phrase, as specific as the texts allow. Do not mention \
texts, tokens or features in it.

End your answer with a line of this form:
LABEL: the phrase"""

_DETECT = """\
A label describes what one feature of a language model is active on. You are given the label and a \
text. Decide whether the feature is active anywhere in the text.

Answer with one word: yes or no."""


def explain_messages(windows: Sequence[Window]) -> list[dict[str, str]]:
    """Asks for a label from windows in which the feature fires."""
    shown = "\n\n".join(f"{n}. {_marked(each)}" for n, each in enumerate(windows, 1))
    return [{"role": "system", "content": _EXPLAIN}, {"role": "user", "content": shown}]


def detect_messages(label: str, window: Window) -> list[dict[str, str]]:
    """Asks whether the feature fires in one window."""
    content = f"Label: {label}\n\nText: {window.text}"
    return [{"role": "system", "content": _DETECT}, {"role": "user", "content": content}]


def read_label(answer: str) -> str | None:
    """The label that an answer ends with, or a short answer that is nothing else."""
    lines = [line.strip() for line in _final(answer).splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"[*_#\s]*label\b", line, re.IGNORECASE)]
    if marked:
        text = re.sub(r"^[*_#\s]*label[*_\s]*:?", "", marked[-1], flags=re.IGNORECASE)
    elif len(lines) == 1:
        text = lines[0]
    else:
        return None
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).strip(" \t*_\"'`“”")
    if not any(sign.isalpha() for sign in text) or len(text) > _LONGEST_LABEL:
        return None
    return text


def read_yes_or_no(answer: str) -> bool | None:
    """Whether an answer says yes (or 1, true) or no; None where it says neither or both."""
    words = re.findall(r"\b(?:yes|no|true|false|1|0)\b", _final(answer).lower())
    said = {word in ("yes", "true", "1") for word in words}
    return said.pop() if len(said) == 1 else None


def _final(answer: str) -> str:
    """An answer without what a reasoning model thought before it."""
    return answer.rpartition("</think>")[2]


def _marked(window: Window) -> str:
    values = window.activations
    strongest = float(values.max(initial=0))
    marks: list[bool] = (values > _SHOWN_FROM * strongest).tolist()
    pieces: list[str] = []
    for place, token in enumerate(window.tokens):
        begins = marks[place] and (place == 0 or not marks[place - 1])
        ends = marks[place] and (place + 1 == len(marks) or not marks[place + 1])
        pieces.append(f"{'<<' * begins}{token}{'>>' * ends}")
    best = np.argsort(-values, kind="stable")[:_STRENGTHS]
    strengths = ", ".join(
        f"{window.tokens[place]!r} {int(np.ceil(10 * values[place] / strongest))}"
        for place in best
        if marks[place]
    )
    return f"{''.join(pieces)}\nstrengths: {strengths}"

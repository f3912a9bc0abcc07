"""A feature's page as HTML that stands by itself: no script, and nothing is loaded."""

from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import category

from lmsaes.database.client import Database
from lmsaes.database.feature_page import page_with_words
from lmsaes.database.records import SAERecord
from lmsaes.errors import ConfigError

_SHOWN = 20  # contexts of each group
# Each rule names the feature's own element: in a notebook the rest of the page is not ours.
_STYLE = (
    ".lmsaes-feature{font:14px/1.5 system-ui,sans-serif;max-width:70em}"
    ".lmsaes-feature p{margin:.4em 0}.lmsaes-feature small{opacity:.75}"
    ".lmsaes-feature p.tokens{font-family:monospace;white-space:pre-wrap}"
)
_PAGE_STYLE = ":root{color-scheme:light dark}body{margin:2em auto;max-width:70em;padding:0 1em}"


@dataclass(frozen=True, slots=True)
class FeatureView:
    """A feature that a notebook draws."""

    analysis: str
    page: dict[str, Any]  # see `page_with_words`

    def __repr__(self) -> str:
        return f"{_title(self.page)}: {_label(self.page)}"

    def _repr_html_(self) -> str:
        return feature_fragment(self.page, self.analysis)


def show(sae: str | SAERecord, feature: int, db: str | Database | None = None) -> FeatureView:
    """A feature as a notebook draws it: its numbers, and its contexts with their activations.

    sae: its name in the database, or its record. db: the database, or its address; by default
    `LMSAES_DB`, or the embedded one.

    Raises ConfigError for an SAE or feature that is not there, DatabaseError where the database
    does not answer.
    """
    if not isinstance(db, Database):
        with Database(db) as opened:
            return show(sae, feature, opened)
    name = sae if isinstance(sae, str) else sae.name
    record = db.sae(name)
    if record is None:
        raise ConfigError(f"no SAE '{name}' in {db.place}", "see: lmsaes db list")
    return FeatureView(record.analysis, page_with_words(db, record, feature))


def feature_document(page: dict[str, Any], analysis: str) -> str:
    """An HTML document of what `page_with_words` gives."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(_title(page))}</title><style>{_PAGE_STYLE}</style>"
        f"<body>{feature_fragment(page, analysis)}</body></html>"
    )


def feature_fragment(page: dict[str, Any], analysis: str) -> str:
    """The same as one element, for a place in another page."""
    lines = [
        f'<p class="tokens"><small>{escape(group)} · {context["maximum"]:.4g}</small> '
        f"{_tokens(context, page['maximum'])}</p>"
        for group, found in page["groups"].items()
        for context in found["contexts"][:_SHOWN]
    ]
    note = f"<p>{escape(page['note'])}</p>" if page["note"] else ""
    return (
        f'<div class="lmsaes-feature"><style>{_STYLE}</style>'
        f"<h1>{escape(_title(page))}</h1><p>{escape(_label(page))}</p>"
        f"<small>{page['firings']} firings; maximum {page['maximum']:.4g}; analysis {analysis}"
        f"</small>{note}{''.join(lines)}</div>"
    )


def _title(page: dict[str, Any]) -> str:
    return f"feature {page['feature']} of {page['sae']}"


def _label(page: dict[str, Any]) -> str:
    return page["explanation"] or page["label"] or "never fires"


def _tokens(context: dict[str, Any], maximum: float) -> str:
    """The context's tokens in color, colors relative to the feature's maximum."""
    return "".join(
        _token(token, activation, maximum)
        for token, activation in zip(context["tokens"], context["activations"], strict=True)
    )


def _token(token: str, activation: float, maximum: float) -> str:
    # isolated, so that a token written from right to left does not turn its neighbors around
    text = f"<bdi>{escape(_visible(token))}</bdi>"
    if activation <= 0 or maximum <= 0:
        return text
    share = 0.12 + 0.68 * min(activation / maximum, 1) ** 0.5
    color = f"background:rgba(20,150,140,{share:.2f})"
    return f'<span style="{color}" title="{activation:.4g}">{text}</span>'


def _visible(token: str) -> str:
    """A token in which what can't be seen is drawn: `U+200B`; line breaks stay, with a mark."""
    return "".join(
        "↵\n" if sign == "\n" else f"U+{ord(sign):04X}" if _is_hidden(sign) else sign
        for sign in token
    )


def _is_hidden(sign: str) -> bool:
    """Whether a character has no form of its own; joiners inside of an emoji have none either, and
    stay what they are."""
    return category(sign) in ("Cc", "Cf", "Zl", "Zp") and sign != "\u200d"

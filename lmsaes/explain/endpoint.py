"""A server that speaks OpenAI's protocol, asked within a budget, no question twice.

question ──► kept answer? ──► budget ──► request, again after a failure ──► answer, kept

An answer that doesn't come is a failure and never an answer: `FailedError` says why.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lmsaes.addresses import shown_address, shown_text
from lmsaes.database import Answers
from lmsaes.errors import ConfigError, LmsaesError, first_line

if TYPE_CHECKING:
    from openai import OpenAI

Message = dict[str, str]

_TRIES = 3
_PAUSE = 0.5  # seconds before the second try; twice as long before the third
_LONGEST_PAUSE = 20.0
_LONGEST_ANSWER = 50_000  # characters
_GIVES_UP_AT_FIRST, _GIVES_UP = 6, 20  # questions in a row without an answer


class FailedError(Exception):
    """A question without an answer: the server failed, was too slow, or its answer is none."""


class BudgetSpentError(Exception):
    """As many requests as are allowed have been sent."""


class EndpointError(LmsaesError):
    """A server that refuses everything, or answers nothing."""


class Endpoint:
    """One server. Threads may share it."""

    def __init__(
        self,
        address: str,
        answers: Answers,
        max_requests: int,
        timeout: float = 60.0,
        key: str | None = None,
        stopped: threading.Event | None = None,
    ) -> None:
        """key: what the server asks for; None for one that asks for none. stopped: what `stop`
        sets, and others may.

        Raises ConfigError where the client library is missing.
        """
        self.address, self.max_requests, self.requests = address, max_requests, 0
        self._key, self._answers = key, answers
        self._client = _client(address, key, timeout)
        self._lock = threading.Lock()
        self._stopped = stopped or threading.Event()
        self._failures_in_a_row = 0
        self._answered = False

    def stop(self) -> None:
        """Asks nothing more and ends pauses; what is being asked is still answered."""
        self._stopped.set()

    def close(self) -> None:
        """Lets go of the connections."""
        self._client.close()

    def ask(self, model: str, messages: Sequence[Message], longest: int) -> str:
        """The model's answer. longest: in tokens.

        Raises FailedError for this question, BudgetSpentError, and EndpointError where asking on is
        of no use.
        """
        asked: dict[str, Any] = {
            "endpoint": shown_address(self.address),
            "model": model,
            "messages": list(messages),
            "max_tokens": longest,
            "temperature": 0,
        }
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        if (kept := self._answers.get([key]).get(key)) is not None:
            return kept
        answer = self._ask(asked)
        self._answers.keep(key, asked, answer)
        return answer

    def _ask(self, asked: dict[str, Any]) -> str:
        import openai

        failure = ""
        for attempt in range(_TRIES):
            self._take_from_budget()
            pause = _PAUSE * 2**attempt
            try:
                answer = _text_of(
                    self._client.chat.completions.create(
                        model=asked["model"],
                        messages=asked["messages"],
                        max_tokens=asked["max_tokens"],
                        temperature=0,
                    )
                )
            except (
                openai.AuthenticationError,
                openai.PermissionDeniedError,
                openai.NotFoundError,
            ) as error:
                raise EndpointError(
                    f"{shown_address(self.address)} refuses: {self._told(error)}",
                    "see that --endpoint, --explainer and the key in the environment are right",
                ) from None
            except openai.APIStatusError as error:
                failure = self._told(error)
                if error.status_code not in (408, 409, 429) and error.status_code < 500:
                    break  # it would say so again
                pause = _asked_pause(error.response.headers.get("retry-after")) or pause
            # the last two: a body that is no JSON, or another one than the protocol's
            except (openai.APIError, ValueError, TypeError) as error:
                failure = self._told(error)
            else:
                with self._lock:
                    self._failures_in_a_row, self._answered = 0, True
                return answer
            if attempt + 1 < _TRIES and self._stopped.wait(min(pause, _LONGEST_PAUSE)):
                break
        with self._lock:
            self._failures_in_a_row += 1
            limit = _GIVES_UP if self._answered else _GIVES_UP_AT_FIRST
            hopeless = self._failures_in_a_row >= limit
        if hopeless:
            never = "does not answer" if not self._answered else "answers no more"
            raise EndpointError(
                f"{shown_address(self.address)} {never}: {failure}",
                "see whether the server runs; what it has answered is kept",
            )
        raise FailedError(failure)

    def _take_from_budget(self) -> None:
        with self._lock:
            if self._stopped.is_set() or self.requests >= self.max_requests:
                raise BudgetSpentError
            self.requests += 1

    def _told(self, error: Exception) -> str:
        """What an error says, without the key that a server may repeat."""
        said = shown_text(first_line(error))
        return (said.replace(self._key, "…") if self._key else said)[:300]


def check_client() -> None:
    """Raises ConfigError where the client library is missing."""
    if find_spec("openai") is None:
        raise ConfigError(
            "the client for language models is not installed",
            "install it with: pip install 'lmsaes[explain]'",
        )


def _client(address: str, key: str | None, timeout: float) -> OpenAI:
    check_client()
    from openai import OpenAI

    # every request counts against the budget, so repeating them is left to `_ask`
    return OpenAI(base_url=address, api_key=key or "none", timeout=timeout, max_retries=0)


def _text_of(response: Any) -> str:
    """The text of an answer. Raises ValueError where there is none: of a server that sends another
    kind of JSON the client makes an object all the same."""
    try:
        text = response.choices[0].message.content
    except (AttributeError, IndexError, KeyError, TypeError):
        raise ValueError("the answer is not of the protocol") from None
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the answer is empty")
    if len(text) > _LONGEST_ANSWER:
        raise ValueError(f"the answer has {len(text)} characters")
    return text.encode(errors="replace").decode()  # halves of characters, which no database takes


def _asked_pause(header: str | None) -> float | None:
    try:
        return None if header is None else max(float(header), 0.0)
    except ValueError:  # a date
        return None

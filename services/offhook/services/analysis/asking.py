"""Asking a language model over an OpenAI-compatible endpoint."""

import os
from collections.abc import Mapping
from typing import Protocol

import msgspec

from offhook.protocol.agent.analysis import ByModel, key_variable
from offhook.protocol.analysis import Findings, model_request, read_answer
from offhook.protocol.errors import OffhookError
from offhook.protocol.record import CallRecord

#: Seconds for an answer, and bytes of the longest one.
ANSWER_SECONDS = 120.0
MAX_ANSWER = 1024 * 1024


class Ask(Protocol):
    """Posts to a server that an agent's document names, only where the operator lets it."""

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes, *, seconds: float, most: int
    ) -> tuple[int, bytes]:
        """Status and body of the answer, at ``most`` so many bytes. Raises ``OffhookError``, ``TimeoutError``."""


class ModelFailed(OffhookError):
    """The endpoint did not answer as it should; the message says how, and holds no key."""


async def ask_model(wanted: ByModel, record: CallRecord, ask: Ask) -> Findings:
    """What the model finds. Raises ``ModelFailed``, ``BadAnswer``, ``TimeoutError``."""
    headers = {"content-type": "application/json"}
    if wanted.key:
        variable = key_variable(wanted.url)
        key = os.environ.get(variable)
        if not key:
            raise ModelFailed(f"the environment variable {variable} with the key is not set for the records role")
        headers["authorization"] = f"Bearer {key}"
    body = msgspec.json.encode(model_request(wanted, record))
    url = f"{wanted.url.rstrip('/')}/chat/completions"
    try:
        status, answer = await ask(url, headers, body, seconds=ANSWER_SECONDS, most=MAX_ANSWER)
    except OffhookError as error:
        raise ModelFailed(f"the model was not asked: {error}") from error
    if status != 200:
        raise ModelFailed(f"the model answered with status {status}")
    return read_answer(wanted, answer)

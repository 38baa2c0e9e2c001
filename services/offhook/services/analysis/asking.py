"""Asking a language model over an OpenAI-compatible endpoint."""

import os

import anyio
import httpx2
import msgspec

from offhook.protocol.agent.analysis import ByModel
from offhook.protocol.analysis import Findings, model_request, read_answer
from offhook.protocol.errors import OffhookError
from offhook.protocol.record import CallRecord

#: Seconds for an answer, and bytes of the longest one.
ANSWER_SECONDS = 120.0
MAX_ANSWER = 1024 * 1024


class ModelFailed(OffhookError):
    """The endpoint did not answer as it should; the message says how, and holds no key."""


async def ask_model(wanted: ByModel, record: CallRecord) -> Findings:
    """What the model finds. Raises ``ModelFailed``, ``BadAnswer``, ``TimeoutError``."""
    headers = {"content-type": "application/json"}
    if wanted.key:
        key = os.environ.get(wanted.key)
        if not key:
            raise ModelFailed(f"the environment variable {wanted.key} with the key is not set for the records role")
        headers["authorization"] = f"Bearer {key}"
    body = msgspec.json.encode(model_request(wanted, record))
    try:
        with anyio.fail_after(ANSWER_SECONDS):
            return read_answer(wanted, await _post(f"{wanted.url.rstrip('/')}/chat/completions", headers, body))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise ModelFailed(f"the model cannot be reached: {error or type(error).__name__}") from error


async def _post(url: str, headers: dict[str, str], body: bytes) -> bytes:
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as client,
        client.stream("POST", url, headers=headers, content=body) as response,
    ):
        answer = b""
        async for chunk in response.aiter_bytes():
            answer += chunk
            if len(answer) > MAX_ANSWER:
                raise ModelFailed(f"the answer is longer than {MAX_ANSWER} bytes")
        if response.status_code != 200:
            raise ModelFailed(f"the model answered with status {response.status_code}")
        return answer

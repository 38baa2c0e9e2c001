"""Errors as problem details (RFC 9457), with a stable ``code`` and the ``request_id``."""

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from offhook.actors.operator import OrderNotTaken, OrderRefused
from offhook.actors.ports import AgentNotFound, BusAway, VariantNotFound
from offhook.protocol.agent import DocumentError
from offhook.protocol.agent.history import AgentMoved, AgentNotStored, AgentTaken, NothingBefore, VersionNotStored
from offhook.protocol.errors import Code, OffhookError, Reason, Refusal
from offhook.protocol.keys import KeyNotFound, KeyUnfit
from offhook.protocol.record import AmbiguousCall, BadCursor, CallLives, CallNotFound, RecordsAway
from offhook.protocol.webhooks import UrlNotAllowed, WebhookNotFound, WebhookUnfit
from offhook.protocol.widgets import WidgetNotFound

log = logging.getLogger("offhook.api")

MEDIA_TYPE = "application/problem+json"

#: Codes of errors that are known by their status alone.
_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: Reason.MESSAGE_TOO_LARGE.value,
    415: "unsupported_media_type",
    422: Reason.INVALID_FIELD.value,
}
#: What to do about them, where the library's own sentence does not say it.
_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take that method; the Allow header lists those it takes.",
    413: "The body is too large; at most 1 MiB is taken.",
}
_STATUSES = {
    Reason.RATE_LIMITED: 429,
    # The lines are the workspace's own, as its requests are.
    Reason.AT_CAPACITY: 429,
    Reason.UNAVAILABLE: 503,
    Reason.INTERNAL: 500,
    Reason.AGENT_NOT_FOUND: 404,
    Reason.SESSION_NOT_FOUND: 404,
    Reason.ORIGIN_NOT_ALLOWED: 403,
    Reason.ORIGIN_MISMATCH: 403,
}


class Problem(OffhookError):
    """A request that is answered with an error; ``extra`` are further members of the document."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.extra = extra

    def document(self, request_id: str) -> bytes:
        """The problem as JSON."""
        members = {
            "type": "about:blank",
            # RFC 9457 4.2.1: with about:blank the title is the phrase of the status.
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": str(self),
            "code": self.code,
            "request_id": request_id,
        }
        return msgspec.json.encode(self.extra | members)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a request that raised ``error``."""
    request_id = request.scope["offhook.request_id"]  # type: ignore[typeddict-item]
    problem = _problem(error)
    if problem is None:
        log.error("request failed", exc_info=error, extra={"request_id": request_id})
        problem = Problem(500, Reason.INTERNAL.value, "Something broke on the server; its log has the details.")
    headers = answer_headers(request) | problem.headers
    return Response(problem.document(request_id), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def answer_headers(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Headers that the answer to a request has in any case, kept with the request; add to it."""
    return request.scope.setdefault("offhook.headers", {})  # type: ignore[typeddict-item, no-any-return]


def _problem(error: Exception) -> Problem | None:
    """What the client is told; None for a fault of our own."""
    match error:
        case Problem():
            return error
        case CallNotFound() | AmbiguousCall():
            return Problem(404, "call_not_found", "There is no call with this id.")
        case KeyNotFound():
            return Problem(404, "key_not_found", "There is no key with this id.")
        case KeyUnfit(field=field):
            return Problem(422, Reason.INVALID_FIELD.value, str(error), pointer=f"/{field}")
        case CallLives():
            return Problem(409, "call_lives", str(error))
        case OrderRefused(code=code):
            return Problem(409, code, str(error))
        case OrderNotTaken():
            return Problem(503, "order_not_taken", str(error))
        case WebhookNotFound():
            return Problem(404, "webhook_not_found", str(error))
        case WebhookUnfit(field=field):
            return Problem(422, Reason.INVALID_FIELD.value, str(error), pointer=f"/{field}")
        case UrlNotAllowed():
            return Problem(422, "webhook_url_not_allowed", str(error), pointer="/url")
        case AgentNotFound():
            return Problem(404, Reason.AGENT_NOT_FOUND.value, str(error), pointer="/agent_id")
        case AgentNotStored():
            return Problem(404, Reason.AGENT_NOT_FOUND.value, str(error))
        case VersionNotStored():
            return Problem(404, "version_not_found", str(error))
        case AgentTaken():
            return Problem(409, "agent_exists", str(error))
        case AgentMoved(newest=newest):
            return Problem(409, "version_conflict", str(error), newest=newest)
        case NothingBefore():
            return Problem(409, "nothing_to_roll_back", str(error))
        case DocumentError():
            return Problem(
                422, "document_invalid", str(error), pointer="/text",
                problems=[{"line": each.line, "path": each.path, "message": each.message} for each in error.problems],
            )  # fmt: skip
        case WidgetNotFound():
            return Problem(404, "widget_not_found", str(error))
        case VariantNotFound():
            return Problem(422, Reason.INVALID_FIELD.value, str(error), pointer="/variant_id")
        case BadCursor():
            return Problem(400, Reason.INVALID_FIELD.value, str(error), parameters=["cursor"])
        case BusAway():
            return _away("Calls cannot be started or counted now; try again.")
        case RecordsAway():
            return _away("The records cannot be read now; try again.")
        case Refusal():
            status = _STATUSES.get(error.reason, 401 if error.code is Code.UNAUTHORIZED else 400)
            return Problem(status, error.reason.value, error.message, **error.extra)
        case ValidationException():
            return _invalid(error)
        case HTTPException(status_code=status) if status < 500:
            headers = dict(error.headers or {})
            code = _CODES.get(status, Reason.INVALID_FIELD.value)
            return Problem(status, code, _DETAILS.get(status, error.detail), headers=headers)
        case _:
            return None


def _away(detail: str) -> Problem:
    return Problem(503, Reason.UNAVAILABLE.value, detail, headers={"Retry-After": "5"})


def _invalid(error: ValidationException) -> Problem:
    found = [item for item in error.extra or () if isinstance(item, dict)]
    wrong = {item["key"]: item.get("message", "not valid") for item in found if "key" in item}
    detail = "; ".join(f"{name}: {why}" for name, why in wrong.items()) or "The request has a value that is not valid."
    return Problem(error.status_code, Reason.INVALID_FIELD.value, detail, parameters=list(wrong))

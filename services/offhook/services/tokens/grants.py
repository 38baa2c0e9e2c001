"""Call tokens: who may call which agent, from which page, until when. JSON Web Tokens (RFC 7519) with HS256.

The rules of RFC 8725 that matter here: one algorithm, fixed by us and never by the token (3.1); explicit audience and
issuer (3.8, 3.9); claims required rather than trusted to be there.
"""

import re
import time
import uuid
from typing import Any, TypeGuard

import jwt
import msgspec

from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.origins import normal_origin
from offhook.services.tokens.workspace import Workspace

#: What the caller is told of every token that does not count (G2); the reason differs.
INVALID = "Invalid authentication token"
ISSUER = "offhook"
AUDIENCE = "offhook:call"
#: Of a token that joins one session and opens no other call (S1).
JOIN_AUDIENCE = "offhook:session"
#: Of a code that opens the console once.
CONSOLE_AUDIENCE = "offhook:console"
#: Of a link to the recording of one call.
RECORDING_AUDIENCE = "offhook:recording"
ALGORITHM = "HS256"
#: Longest token, characters.
MAX_TOKEN = 4096
#: Nodes' clocks may differ by so many seconds when a token says "not before".
LEEWAY = 5.0

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_REQUIRED = ["exp", "aud", "iss", "sub", "jti", "iat"]


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a valid token allows."""

    workspace: str
    agent: str
    #: Id of the token; a token that is not ``reusable`` counts once.
    jti: str
    #: Seconds since the epoch.
    expires_at: float
    reusable: bool
    #: The only page origin it may be used from, None for any.
    origin: str | None
    #: The version of the agent it was made for; None: that which serves the public.
    version: str | None = None
    #: Whether the caller may name versions that were never published.
    drafts: bool = False


def mint_token(
    workspace: Workspace,
    *,
    agent: str,
    ttl: float = 300.0,
    origin: str | None = None,
    reusable: bool = False,
    session: str | None = None,
    version: str | None = None,
    drafts: bool = False,
    now: float | None = None,
) -> str:
    """A token for calls of ``agent`` that counts for ``ttl`` seconds from ``now`` (epoch seconds; None: the clock).

    With ``session`` it joins that session and opens no other call. Its calls are served by ``version``, published or
    not; with ``drafts`` the caller may name any other version too.

    Raises ``ValueError`` when ``origin`` is no web origin.
    """
    claims: dict[str, Any] = {"agent": agent}
    if origin is not None:
        claims["origin"] = normal_origin(origin)
        if claims["origin"] is None:
            raise ValueError(f"{origin!r} is not a web origin such as https://example.com")
    if reusable:
        claims["reusable"] = True
    if version is not None:
        claims["version"] = version
    if drafts:
        claims["drafts"] = True
    if session is not None:
        claims["session"] = session
    return _sign(workspace, AUDIENCE if session is None else JOIN_AUDIENCE, ttl=ttl, now=now, **claims)


def verify_token(
    workspace: Workspace,
    token: str,
    *,
    now: float | None = None,
    origin: str | None = None,
    session: str | None = None,
) -> Grant:
    """What ``token`` allows the page at ``origin`` (the handshake's Origin) at ``now`` (epoch seconds).

    With ``session`` it must be a token that joins this session, without one that opens a call.

    Raises ``Refusal`` with a ``token_*`` reason or ``origin_mismatch`` and always the same message. Whether a token
    was used before is for the caller of this to know.
    """
    claims = _signed_claims(workspace, token)
    _check_parties(workspace, claims, AUDIENCE if session is None else JOIN_AUDIENCE)
    expires_at = _check_times(claims, time.time() if now is None else now)
    agent, jti, reusable = claims.get("agent"), claims["jti"], claims.get("reusable", False)
    bound, version, drafts = claims.get("origin"), claims.get("version"), claims.get("drafts", False)
    if not _is_name(agent) or not _is_name(jti) or not isinstance(reusable, bool) or not isinstance(drafts, bool):
        raise _refusal(Reason.TOKEN_INVALID)
    if version is not None and not _is_name(version):
        raise _refusal(Reason.TOKEN_INVALID)
    if bound is not None and (not isinstance(bound, str) or normal_origin(bound) is None):
        raise _refusal(Reason.TOKEN_INVALID)
    if bound is not None and (origin is None or normal_origin(bound) != normal_origin(origin)):
        raise _refusal(Reason.ORIGIN_MISMATCH)
    if session is not None and claims.get("session") != session:
        raise _refusal(Reason.TOKEN_WRONG_SESSION)
    return Grant(
        workspace=workspace.id, agent=agent, jti=jti, expires_at=expires_at, reusable=reusable, origin=bound,
        version=version, drafts=drafts,
    )  # fmt: skip


def mint_console_code(workspace: Workspace, *, ttl: float = 120.0, now: float | None = None) -> str:
    """A code that opens the console of the workspace once, within ``ttl`` seconds from ``now`` (epoch seconds)."""
    return _sign(workspace, CONSOLE_AUDIENCE, ttl=ttl, now=now)


def verify_console_code(workspace: Workspace, code: str, *, now: float | None = None) -> tuple[str, float]:
    """The id of a code that opens the console at ``now`` (epoch seconds), and when it runs out.

    Raises ``Refusal`` with a ``token_*`` reason. Whether it was used before is for the caller of this to know.
    """
    claims = _signed_claims(workspace, code)
    _check_parties(workspace, claims, CONSOLE_AUDIENCE)
    expires_at = _check_times(claims, time.time() if now is None else now)
    if not _is_name(claims["jti"]):
        raise _refusal(Reason.TOKEN_INVALID)
    return str(claims["jti"]), expires_at


def mint_recording_token(workspace: Workspace, call: str, *, ttl: float, now: float) -> str:
    """A token for the recording of ``call`` that counts for ``ttl`` seconds from ``now``, as often as one likes."""
    return _sign(workspace, RECORDING_AUDIENCE, ttl=ttl, now=now, call=call)


def verify_recording_token(workspace: Workspace, token: str, *, now: float) -> str:
    """The call whose recording ``token`` opens at ``now``. Raises ``Refusal`` with a ``token_*`` reason."""
    claims = _signed_claims(workspace, token)
    _check_parties(workspace, claims, RECORDING_AUDIENCE)
    _check_times(claims, now)
    if not _is_name(claims.get("call")):
        raise _refusal(Reason.TOKEN_INVALID)
    return str(claims["call"])


def _sign(workspace: Workspace, audience: str, *, ttl: float, now: float | None, **more: Any) -> str:
    issued = time.time() if now is None else now
    key = workspace.signing_keys[0]
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": audience,
        "sub": workspace.id,
        "iat": int(issued),
        "exp": int(issued + ttl),
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(claims | more, key.secret, algorithm=ALGORITHM, headers={"kid": key.kid})


def _signed_claims(workspace: Workspace, token: str) -> dict[str, Any]:
    """The claims, once the signature holds."""
    if len(token) > MAX_TOKEN or not _SHAPE.fullmatch(token):
        raise _refusal(Reason.TOKEN_INVALID)
    try:
        header = jwt.get_unverified_header(token)
        secret = next((key.secret for key in workspace.signing_keys if key.kid == header.get("kid")), None)
        # "crit" names extensions that must be understood (RFC 7515 4.1.11); there are none here.
        if secret is None or "crit" in header:
            raise _refusal(Reason.TOKEN_INVALID)
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            options={
                "require": _REQUIRED,
                # Checked below: by the given clock, and each with its own reason.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise _refusal(Reason.TOKEN_INVALID) from error
    return claims


def _check_parties(workspace: Workspace, claims: dict[str, Any], audience: str) -> None:
    if claims["iss"] != ISSUER:
        raise _refusal(Reason.TOKEN_WRONG_ISSUER)
    # One audience, not a list that holds ours: such a token was made for others too.
    if claims["aud"] != audience:
        raise _refusal(Reason.TOKEN_WRONG_AUDIENCE)
    if claims["sub"] != workspace.id:
        raise _refusal(Reason.TOKEN_INVALID)


def _check_times(claims: dict[str, Any], now: float) -> float:
    """The moment of expiry, once the times hold."""
    expires_at, issued, begins = (claims["exp"], claims["iat"], claims.get("nbf", claims["iat"]))
    if not all(map(_is_moment, (expires_at, issued, begins))):
        raise _refusal(Reason.TOKEN_INVALID)
    if now >= expires_at:
        raise _refusal(Reason.TOKEN_EXPIRED)
    if max(issued, begins) > now + LEEWAY:
        raise _refusal(Reason.TOKEN_NOT_YET_VALID)
    return float(expires_at)


def _is_moment(value: object) -> bool:
    # NaN compares false; an integer beyond a double never meets one.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= 128


def _refusal(reason: Reason) -> Refusal:
    return Refusal(reason, INVALID)

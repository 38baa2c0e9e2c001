"""Call tokens and the workspace they are signed for: the token rows of the bad-input list (G2, R1)."""

import base64
import json
import threading
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from offhook.protocol.errors import Code, Reason, Refusal
from offhook.services.tokens import (
    CurrentWorkspace,
    Grant,
    SigningKey,
    Workspace,
    WorkspaceUnreadable,
    is_secret_key,
    mint_token,
    open_workspace,
    rotate_signing_key,
    verify_token,
)
from offhook.services.tokens import workspace as workspace_module

NOW = 1_800_000_000.0
KEY = SigningKey("k1", b"k" * 32)
WORKSPACE = Workspace(
    id="ws_1", signing_keys=(KEY,), publishable_key="pk_live_x", secret_key_hash="", widget_code="demo"
)
CLAIMS: dict[str, Any] = {
    "iss": "offhook",
    "aud": "offhook:call",
    "sub": "ws_1",
    "agent": "demo",
    "iat": int(NOW),
    "exp": int(NOW) + 300,
    "jti": "j1",
}
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT", "kid": "k1"}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header: object, claims: object, secret: bytes = KEY.secret) -> str:
    """A token with any header and claims, its HMAC right."""
    body = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return (
        f"{body}.{b64(jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(body.encode(), secret))}"
    )


def claimed(**changes: object) -> str:
    """The good token with some claims changed or (...) left out."""
    return sign(HEADER, {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...})


def headed(**changes: object) -> str:
    """The good token with some header fields changed or (...) left out."""
    return sign({name: value for name, value in {**HEADER, **changes}.items() if value is not ...}, CLAIMS)


GOOD = claimed()
HEAD, BODY, SIGNATURE = GOOD.split(".")
#: Another text for the same bytes: the two pad bits of the last character differ (RFC 4648 3.5).
PAD_BITS = (
    SIGNATURE[:-1]
    + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(SIGNATURE[-1]) ^ 1
    ]
)

MUTANTS: dict[str, tuple[str, Reason]] = {
    "empty": ("", Reason.TOKEN_INVALID),
    "words": ("let me in", Reason.TOKEN_INVALID),
    "one part": (HEAD, Reason.TOKEN_INVALID),
    "two parts": (f"{HEAD}.{BODY}", Reason.TOKEN_INVALID),
    "four parts": (f"{GOOD}.{SIGNATURE}", Reason.TOKEN_INVALID),
    "no signature": (f"{HEAD}.{BODY}.", Reason.TOKEN_INVALID),
    "short signature": (f"{HEAD}.{BODY}.{SIGNATURE[:-2]}", Reason.TOKEN_INVALID),
    "other signature": (f"{HEAD}.{BODY}.{'A' * len(SIGNATURE)}", Reason.TOKEN_INVALID),
    "pad bits of the signature": (f"{HEAD}.{BODY}.{PAD_BITS}", Reason.TOKEN_INVALID),
    "padding": (GOOD + "=", Reason.TOKEN_INVALID),
    "trailing line end": (GOOD + "\n", Reason.TOKEN_INVALID),
    "leading space": (" " + GOOD, Reason.TOKEN_INVALID),
    "junk in the signature": (f"{HEAD}.{BODY}.{SIGNATURE[:5]}!{SIGNATURE[5:]}", Reason.TOKEN_INVALID),
    "NUL": (GOOD + "\x00", Reason.TOKEN_INVALID),
    "lone surrogate": (GOOD + "\ud800", Reason.TOKEN_INVALID),
    "non-ASCII digits": (GOOD + "\u0661", Reason.TOKEN_INVALID),
    "claims of another": (f"{HEAD}.{claimed(agent='vip').split('.')[1]}.{SIGNATURE}", Reason.TOKEN_INVALID),
    "other secret": (sign(HEADER, CLAIMS, b"x" * 32), Reason.TOKEN_INVALID),
    "alg none": (f"{b64(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{BODY}.", Reason.TOKEN_INVALID),
    "alg none, signed": (headed(alg="none"), Reason.TOKEN_INVALID),
    "alg None": (headed(alg="NoNe"), Reason.TOKEN_INVALID),
    "alg RS256": (headed(alg="RS256"), Reason.TOKEN_INVALID),
    "alg HS384": (jwt.encode(CLAIMS, KEY.secret * 2, "HS384", headers={"kid": "k1"}), Reason.TOKEN_INVALID),
    "alg HS512": (headed(alg="HS512"), Reason.TOKEN_INVALID),
    "no alg": (headed(alg=...), Reason.TOKEN_INVALID),
    "alg a number": (headed(alg=256), Reason.TOKEN_INVALID),
    "no kid": (headed(kid=...), Reason.TOKEN_INVALID),
    "unknown kid": (headed(kid="k2"), Reason.TOKEN_INVALID),
    "kid a list": (headed(kid=["k1"]), Reason.TOKEN_INVALID),
    "kid a path": (headed(kid="../../dev/null"), Reason.TOKEN_INVALID),
    "crit": (headed(crit=["exp"]), Reason.TOKEN_INVALID),
    "crit empty": (headed(crit=[]), Reason.TOKEN_INVALID),
    "crit that PyJWT knows": (headed(crit=["b64"], b64=True), Reason.TOKEN_INVALID),
    "header a list": (sign([HEADER], CLAIMS), Reason.TOKEN_INVALID),
    "header a number": (sign(1, CLAIMS), Reason.TOKEN_INVALID),
    "claims a list": (sign(HEADER, [CLAIMS]), Reason.TOKEN_INVALID),
    "claims nested": (f"{b64(b'[' * 2000)}.{BODY}.{SIGNATURE}", Reason.TOKEN_INVALID),
    "huge": (claimed(padding="x" * 4096), Reason.TOKEN_INVALID),
    "no exp": (claimed(exp=...), Reason.TOKEN_INVALID),
    "no iat": (claimed(iat=...), Reason.TOKEN_INVALID),
    "no aud": (claimed(aud=...), Reason.TOKEN_INVALID),
    "no iss": (claimed(iss=...), Reason.TOKEN_INVALID),
    "no sub": (claimed(sub=...), Reason.TOKEN_INVALID),
    "no jti": (claimed(jti=...), Reason.TOKEN_INVALID),
    "no agent": (claimed(agent=...), Reason.TOKEN_INVALID),
    "agent a list": (claimed(agent=["demo"]), Reason.TOKEN_INVALID),
    "agent empty": (claimed(agent=""), Reason.TOKEN_INVALID),
    "jti long": (claimed(jti="j" * 129), Reason.TOKEN_INVALID),
    "jti a number": (claimed(jti=1), Reason.TOKEN_INVALID),
    "reusable a word": (claimed(reusable="yes"), Reason.TOKEN_INVALID),
    "origin a number": (claimed(origin=1), Reason.TOKEN_INVALID),
    "origin none": (claimed(origin="null"), Reason.TOKEN_INVALID),
    "other workspace": (claimed(sub="ws_2"), Reason.TOKEN_INVALID),
    "exp a word": (claimed(exp="soon"), Reason.TOKEN_INVALID),
    "exp true": (claimed(exp=True), Reason.TOKEN_INVALID),
    "exp infinite": (claimed(exp=float("inf")), Reason.TOKEN_INVALID),
    "exp not a number": (claimed(exp=float("nan")), Reason.TOKEN_INVALID),
    "exp vast": (claimed(exp=10**400), Reason.TOKEN_INVALID),
    "expired": (claimed(exp=int(NOW)), Reason.TOKEN_EXPIRED),
    "expired long ago": (claimed(exp=1), Reason.TOKEN_EXPIRED),
    "not yet": (claimed(nbf=int(NOW) + 60), Reason.TOKEN_NOT_YET_VALID),
    "issued tomorrow": (claimed(iat=int(NOW) + 86400, exp=int(NOW) + 90000), Reason.TOKEN_NOT_YET_VALID),
    "other audience": (claimed(aud="offhook:admin"), Reason.TOKEN_WRONG_AUDIENCE),
    "audience list": (claimed(aud=["offhook:call", "other"]), Reason.TOKEN_WRONG_AUDIENCE),
    "other issuer": (claimed(iss="evil"), Reason.TOKEN_WRONG_ISSUER),
    "issuer list": (claimed(iss=["offhook"]), Reason.TOKEN_WRONG_ISSUER),
    "for a session": (claimed(aud="offhook:session", session="s"), Reason.TOKEN_WRONG_AUDIENCE),
    "other page": (claimed(origin="https://other.example"), Reason.ORIGIN_MISMATCH),
}


@pytest.mark.parametrize(("token", "reason"), MUTANTS.values(), ids=MUTANTS)
def test_mutants(token: str, reason: Reason) -> None:
    """Covers G2: one message for all of them, one reason each."""
    with pytest.raises(Refusal) as caught:
        verify_token(WORKSPACE, token, now=NOW, origin="https://page.example")
    refusal = caught.value
    assert (refusal.reason, refusal.code, refusal.message) == (
        reason,
        Code.UNAUTHORIZED,
        "Invalid authentication token",
    )


JOIN: dict[str, Any] = {"aud": "offhook:session", "session": "s1"}
SESSION_MUTANTS: dict[str, tuple[str, Reason]] = {
    "a call token": (GOOD, Reason.TOKEN_WRONG_AUDIENCE),
    "other session": (claimed(**JOIN | {"session": "s2"}), Reason.TOKEN_WRONG_SESSION),
    "no session": (claimed(aud="offhook:session"), Reason.TOKEN_WRONG_SESSION),
    "session a list": (claimed(**JOIN | {"session": ["s1"]}), Reason.TOKEN_WRONG_SESSION),
    "both audiences": (claimed(**JOIN | {"aud": ["offhook:session"]}), Reason.TOKEN_WRONG_AUDIENCE),
    "expired": (claimed(**JOIN, exp=int(NOW)), Reason.TOKEN_EXPIRED),
    "other page": (claimed(**JOIN, origin="https://other.example"), Reason.ORIGIN_MISMATCH),
    "no jti": (claimed(**JOIN, jti=...), Reason.TOKEN_INVALID),
}


@pytest.mark.parametrize(("token", "reason"), SESSION_MUTANTS.values(), ids=SESSION_MUTANTS)
def test_mutants_of_session_tokens(token: str, reason: Reason) -> None:
    """Covers S1."""
    with pytest.raises(Refusal) as caught:
        verify_token(WORKSPACE, token, now=NOW, origin="https://page.example", session="s1")
    assert (caught.value.reason, caught.value.message) == (reason, "Invalid authentication token")


def test_a_session_token_joins_its_session() -> None:
    token = mint_token(WORKSPACE, agent="demo", session="s1", now=NOW)
    assert verify_token(WORKSPACE, token, now=NOW, session="s1").agent == "demo"


def test_signing_keys_are_rotated_while_processes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Covers R1: what the key before has signed counts until it is dropped."""
    monkeypatch.setattr(workspace_module, "LOOK_SECONDS", 0.0)
    current = CurrentWorkspace(tmp_path)
    old = mint_token(current(), agent="demo")
    rotate_signing_key(tmp_path)
    new = mint_token(current(), agent="demo")
    assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
    assert verify_token(current(), old).agent == verify_token(current(), new).agent == "demo"
    rotate_signing_key(tmp_path, keep=0)
    for token in (old, new):
        with pytest.raises(Refusal):
            verify_token(current(), token)
    assert current().id == open_workspace(tmp_path).id
    assert (tmp_path / "workspace.json").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["workspace.json"]


@pytest.mark.parametrize(
    "token",
    [
        GOOD,
        claimed(extra={"a": 1}),
        claimed(nbf=int(NOW) + 4),
        claimed(exp=NOW + 0.5),
        claimed(origin="https://PAGE.example:443"),
        headed(typ=...),
    ],
)
def test_good_tokens(token: str) -> None:
    grant = verify_token(WORKSPACE, token, now=NOW, origin="https://page.example")
    assert (grant.workspace, grant.agent, grant.jti, grant.reusable) == ("ws_1", "demo", "j1", False)


def test_minted_tokens() -> None:
    token = mint_token(WORKSPACE, agent="demo", ttl=60, origin="https://Page.example/", reusable=True, now=NOW)
    grant = verify_token(WORKSPACE, token, now=NOW + 59, origin="https://page.example")
    assert grant == Grant(
        workspace="ws_1",
        agent="demo",
        jti=grant.jti,
        expires_at=NOW + 60,
        reusable=True,
        origin="https://page.example",
    )
    another = verify_token(WORKSPACE, mint_token(WORKSPACE, agent="demo"))
    assert another.jti != grant.jti
    assert (another.reusable, another.origin) == (False, None)


@pytest.mark.parametrize("origin", [None, "null", "https://other.example", "http://page.example"])
def test_bound_token_on_another_page(origin: str | None) -> None:
    token = mint_token(WORKSPACE, agent="demo", origin="https://page.example", now=NOW)
    with pytest.raises(Refusal) as caught:
        verify_token(WORKSPACE, token, now=NOW, origin=origin)
    assert caught.value.reason is Reason.ORIGIN_MISMATCH


def test_origin_that_is_none_is_not_minted() -> None:
    with pytest.raises(ValueError, match="not a web origin"):
        mint_token(WORKSPACE, agent="demo", origin="example.com")


def test_an_older_signing_key_still_verifies() -> None:
    rotated = msgspec.structs.replace(WORKSPACE, signing_keys=(SigningKey("k2", b"n" * 32), KEY))
    assert verify_token(rotated, GOOD, now=NOW).agent == "demo"
    assert jwt.get_unverified_header(mint_token(rotated, agent="demo"))["kid"] == "k2"


# ── the workspace ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_first_run(tmp_path: Path) -> None:
    """Covers R1: the secret key is shown once and only its hash is kept."""
    data = tmp_path / "data"
    made = open_workspace(data)
    assert made.fresh_secret_key is not None
    assert made.fresh_secret_key.startswith("sk_live_")
    assert made.publishable_key.startswith("pk_live_")
    assert is_secret_key(made, made.fresh_secret_key)
    assert not is_secret_key(made, made.publishable_key)
    assert [file.name for file in data.iterdir()] == ["workspace.json"]
    assert (data / "workspace.json").stat().st_mode & 0o777 == 0o600
    assert made.fresh_secret_key not in (data / "workspace.json").read_text()
    assert open_workspace(data) == msgspec.structs.replace(made, fresh_secret_key=None)


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    opened: list[Workspace] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        opened.append(open_workspace(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({workspace.id for workspace in opened}) == 1
    assert len(opened) == 8
    assert sum(workspace.fresh_secret_key is not None for workspace in opened) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["workspace.json"]


@pytest.mark.parametrize("text", ["", "{}", "[", '{"id":1}'])
def test_damaged_file_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "workspace.json").write_text(text)
    with pytest.raises(WorkspaceUnreadable, match=r"workspace\.json"):
        open_workspace(tmp_path)
    assert (tmp_path / "workspace.json").read_text() == text


def test_short_signing_key_is_refused(tmp_path: Path) -> None:
    weak = msgspec.structs.replace(WORKSPACE, signing_keys=(SigningKey("k", b"short"),))
    (tmp_path / "workspace.json").write_bytes(msgspec.json.encode(weak))
    with pytest.raises(WorkspaceUnreadable, match="32 bytes"):
        open_workspace(tmp_path)

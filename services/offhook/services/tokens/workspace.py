"""The workspace of an installation: its id and keys, one file in the data folder made at the first run."""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
import uuid
from pathlib import Path

import msgspec

from offhook.protocol.errors import OffhookError

FILE = "workspace.json"
#: Seconds after which a process looks whether the file has changed.
LOOK_SECONDS = 1.0


class WorkspaceUnreadable(OffhookError):
    """The workspace file is there but cannot be read as one; it is left as it is."""


class SigningKey(msgspec.Struct, frozen=True):
    """A key for call tokens (HS256)."""

    kid: str
    #: 32 random bytes, base64 in the file.
    secret: bytes


class Workspace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who this installation is."""

    id: str
    #: The first one signs, all of them verify.
    signing_keys: tuple[SigningKey, ...]
    #: Browser-safe; starts calls and nothing else (R1).
    publishable_key: str
    #: SHA-256 of the secret key, hex. The key has 256 random bits, so a slow hash would add nothing.
    secret_key_hash: str
    #: The code of the demo widget, ``/widget/<code>.js``.
    widget_code: str
    #: The secret key itself, right after it was made and never again: not in the file.
    fresh_secret_key: str | None = None


def open_workspace(data: Path) -> Workspace:
    """The workspace of the data folder; made (mode 0600, atomically) when there is none.

    Only the process that made it gets ``fresh_secret_key``. Several processes may call this at once; all get the same
    workspace. Raises ``WorkspaceUnreadable``, ``OSError``.
    """
    path = data / FILE
    try:
        return _read(path)
    except FileNotFoundError:
        data.mkdir(parents=True, exist_ok=True)
    workspace = _new_workspace()
    try:
        _write_once(path, workspace)
    except FileExistsError:
        return _read(path)
    return workspace


class CurrentWorkspace:
    """The workspace of a data folder as it is now: its signing keys may be rotated while processes run.

    The file is looked at again when a second has passed since the last time, so a new key signs and an old one stops
    to count within a second.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._workspace = open_workspace(data)
        self._stamp = self._path.stat().st_mtime_ns
        self._looked = time.monotonic()

    def __call__(self) -> Workspace:
        """The workspace. A file that cannot be read now changes nothing."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            with contextlib.suppress(OSError, WorkspaceUnreadable):
                stamp = self._path.stat().st_mtime_ns
                if stamp != self._stamp:
                    self._workspace, self._stamp = _read(self._path), stamp
        return self._workspace


def rotate_signing_key(data: Path, *, keep: int = 1) -> Workspace:
    """Sign call tokens with a new key from now on; ``keep`` older ones still verify what they have signed.

    Raises ``WorkspaceUnreadable``, ``OSError``.
    """
    path = data / FILE
    before = open_workspace(data)
    fresh = SigningKey(secrets.token_hex(8), secrets.token_bytes(32))
    after = msgspec.structs.replace(before, signing_keys=(fresh, *before.signing_keys[:keep]))
    draft = _write_draft(path, after)
    draft.replace(path)
    return after


def is_secret_key(workspace: Workspace, key: str) -> bool:
    """Whether ``key`` is the workspace's secret key; takes the same time for every wrong one."""
    return hmac.compare_digest(_hash(key), workspace.secret_key_hash)


def _new_workspace() -> Workspace:
    secret_key = f"sk_live_{secrets.token_urlsafe(32)}"
    return Workspace(
        id=f"ws_{uuid.uuid4().hex}",
        signing_keys=(SigningKey(secrets.token_hex(8), secrets.token_bytes(32)),),
        publishable_key=f"pk_live_{secrets.token_urlsafe(24)}",
        secret_key_hash=_hash(secret_key),
        widget_code=secrets.token_hex(6),
        fresh_secret_key=secret_key,
    )


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> Workspace:
    text = path.read_bytes()
    try:
        workspace = msgspec.json.decode(text, type=Workspace)
    except msgspec.DecodeError as error:
        raise WorkspaceUnreadable(f"{path} is damaged ({error}); restore it from a backup or move it away.") from error
    if not workspace.signing_keys or any(len(key.secret) < 32 for key in workspace.signing_keys):
        raise WorkspaceUnreadable(f"{path} needs a signing key of at least 32 bytes; restore it from a backup.")
    return workspace


def _write_once(path: Path, workspace: Workspace) -> None:
    """Write the file if there is none: a link to a finished file either appears whole or not at all."""
    draft = _write_draft(path, workspace)
    try:
        path.hardlink_to(draft)
    finally:
        draft.unlink()


def _write_draft(path: Path, workspace: Workspace) -> Path:
    """A finished file beside ``path``, mode 0600."""
    stored = msgspec.structs.replace(workspace, fresh_secret_key=None)
    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(stored)))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink()
        raise
    return draft

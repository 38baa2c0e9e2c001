"""The workspace's identity and the call tokens signed with it."""

from offhook.services.tokens.console import ConsoleCodes
from offhook.services.tokens.grants import (
    INVALID,
    Grant,
    mint_console_code,
    mint_token,
    verify_console_code,
    verify_token,
)
from offhook.services.tokens.recordings import RecordingTokens
from offhook.services.tokens.sessions import CallTokens, Lines, Sessions
from offhook.services.tokens.workspace import (
    CurrentWorkspace,
    SigningKey,
    Workspace,
    WorkspaceUnreadable,
    is_secret_key,
    open_workspace,
    rotate_signing_key,
)

__all__ = [
    "INVALID",
    "CallTokens",
    "ConsoleCodes",
    "CurrentWorkspace",
    "Grant",
    "Lines",
    "RecordingTokens",
    "Sessions",
    "SigningKey",
    "Workspace",
    "WorkspaceUnreadable",
    "is_secret_key",
    "mint_console_code",
    "mint_token",
    "open_workspace",
    "rotate_signing_key",
    "verify_console_code",
    "verify_token",
]

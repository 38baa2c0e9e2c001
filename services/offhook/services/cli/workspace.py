"""The workspace of a data folder, for commands."""

from pathlib import Path
from typing import TYPE_CHECKING

from offhook.protocol.errors import OffhookError

if TYPE_CHECKING:
    from offhook.services.tokens import Workspace


def workspace_of(data: Path) -> "Workspace":
    """The workspace, made where there is none. Raises ``OffhookError`` when the folder cannot be used."""
    from offhook.services.tokens import open_workspace

    try:
        return open_workspace(data)
    except OSError as error:
        raise OffhookError(
            f"The data folder {data} cannot be used: {error.strerror}. Name another with --data."
        ) from None

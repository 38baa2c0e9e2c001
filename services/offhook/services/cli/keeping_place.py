"""For how long the calls of the workspace on a data folder are kept."""

from pathlib import Path

from offhook.services.cli.workspace import workspace_of


def keep_calls(data: Path, place: str | None, *, days: int | None, change: bool) -> int | None:
    """Set it (None: for ever) if ``change``; what holds now."""
    from offhook.services.store import open_store, store_file

    workspace = workspace_of(data).id
    store = open_store(place or store_file(data))
    try:
        if change:
            store.keep_days(workspace, days)
        return store.kept_days(workspace)
    finally:
        store.close()

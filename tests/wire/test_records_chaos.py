"""Records, api and PostgreSQL are killed while calls happen; `just kills` does it with 200 calls."""

from pathlib import Path

import pytest
from records_chaos import run

pytestmark = pytest.mark.anyio


async def test_nothing_is_lost_when_records_api_and_postgresql_are_killed(tmp_path: Path) -> None:
    told = await run(tmp_path, calls=20, kills=6, seed=7)
    assert sum(told.kills.values()) == 6 and told.messages > 100

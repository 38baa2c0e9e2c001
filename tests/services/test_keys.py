"""Keys (R1): made once, kept as a hash, bound to domains, rotated, revoked."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from offhook.protocol.keys import KeyNotFound, KeyUnfit, NewKey, check_new_key, hash_key
from offhook.protocol.origins import origin_allowed
from offhook.services.cli import main
from offhook.services.store import Keys, Reply, open_keys, open_replies
from offhook.services.store import keys as store_keys
from offhook.services.store import replies as store_replies
from offhook.services.tokens import open_workspace

SECRET = NewKey(kind="secret", name="backend")
PAGE = NewKey(kind="publishable", name="site", domains=("example.com",))


class Time:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(store_keys, "time", clock)
    monkeypatch.setattr(store_replies, "time", clock)
    return clock


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "offhook.db")
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
def keys(place: str) -> Iterator[Keys]:
    keys = open_keys(place)
    yield keys
    keys.close()


@pytest.mark.parametrize("wanted", [SECRET, PAGE, msgspec.structs.replace(SECRET, mode="test")])
def test_a_key_is_shown_once_and_only_its_hash_is_kept(keys: Keys, tmp_path: Path, wanted: NewKey) -> None:
    made = keys.create("ws", wanted)
    beginning = {"secret": "sk", "publishable": "pk"}[wanted.kind]
    assert made.key.startswith(f"{beginning}_{wanted.mode}_") and len(made.key.rpartition("_")[0]) > 0
    # 256 bits are 43 characters of base64.
    assert len(made.key) == len(f"{beginning}_{wanted.mode}_") + 43
    found = keys.find(made.key)
    assert found is not None and (found.id, found.workspace, found.hint) == (made.id, "ws", made.key[-4:])
    for file in tmp_path.iterdir():
        assert made.key.encode() not in file.read_bytes()
    assert keys.find(made.key + "x") is None and keys.find("") is None and keys.find("\ud800") is None


def test_two_keys_are_not_alike(keys: Keys) -> None:
    assert len({keys.create("ws", SECRET).key for _ in range(20)}) == 20


def test_rotating_lets_the_old_key_run_out(keys: Keys, clock: Time) -> None:
    old = keys.create("ws", PAGE)
    new = keys.rotate("ws", old.id, overlap=60.0)
    assert (new.name, new.domains, new.kind) == (old.name, old.domains, old.kind) and new.key != old.key
    assert keys.find(old.key) is not None and keys.find(new.key) is not None
    assert keys.get("ws", old.id).replaced_by == new.id
    clock.now += 60.0
    assert keys.find(old.key) is None and keys.find(new.key) is not None
    with pytest.raises(KeyUnfit, match="does not count"):
        keys.rotate("ws", old.id, overlap=60.0)


def test_a_revoked_key_is_worthless_at_once(keys: Keys, clock: Time) -> None:
    key = keys.create("ws", SECRET)
    assert keys.revoke("ws", key.id).revoked_at == clock.now
    assert keys.find(key.key) is None
    clock.now += 10
    assert keys.revoke("ws", key.id).revoked_at == clock.now - 10


def test_the_last_use_is_noted_to_the_minute(keys: Keys, clock: Time) -> None:
    key = keys.create("ws", SECRET)
    assert keys.get("ws", key.id).last_used_at is None
    keys.find(key.key)
    clock.now += 59
    keys.find(key.key)
    first = keys.get("ws", key.id).last_used_at
    assert first is not None and first <= clock.now
    clock.now += 60
    keys.find(key.key)
    assert keys.get("ws", key.id).last_used_at == first + 60


def test_a_key_of_another_workspace_is_as_good_as_none(keys: Keys) -> None:
    key = keys.create("ws", SECRET)
    for ask in (keys.get, keys.revoke, lambda w, i: keys.rotate(w, i, overlap=1)):
        with pytest.raises(KeyNotFound) as others:
            ask("other", key.id)
        with pytest.raises(KeyNotFound) as none:
            ask("other", "key_x")
        assert str(others.value) == str(none.value)
    assert keys.page("other", limit=10) == []


def test_pages_go_on_behind_the_last_key(keys: Keys) -> None:
    made = [keys.create("ws", SECRET if n % 2 else PAGE).id for n in range(5)]
    first = keys.page("ws", limit=3)
    rest = keys.page("ws", limit=3, after=(first[-1].created_at, first[-1].id))
    assert sorted(key.id for key in first + rest) == sorted(made)
    assert {key.kind for key in keys.page("ws", kind="publishable", limit=9)} == {"publishable"}


def test_a_quota_of_a_day_is_spent_and_comes_back(keys: Keys, clock: Time) -> None:
    key = keys.create("ws", msgspec.structs.replace(PAGE, per_day=2))
    assert [keys.spend(key) for _ in range(2)] == [0.0, 0.0]
    wait = keys.spend(key)
    assert 0 < wait <= 86400
    clock.now += wait
    assert keys.spend(key) == 0.0


def test_of_many_at_once_no_more_than_the_quota_get_a_token(keys: Keys) -> None:
    key = keys.create("ws", msgspec.structs.replace(PAGE, per_day=5))
    with ThreadPoolExecutor(8) as threads:
        waits = list(threads.map(lambda _: keys.spend(key), range(16)))
    assert waits.count(0.0) == 5


def test_the_first_key_of_an_older_installation_still_counts_until_it_is_revoked(keys: Keys) -> None:
    text = "sk_live_old"
    for _ in range(2):
        keys.adopt("ws", hash_key(text))
    found = keys.find(text)
    assert found is not None and found.allows("calls:read")
    keys.revoke("ws", found.id)
    keys.adopt("ws", hash_key(text))
    assert keys.find(text) is None


# ── what a key is to be ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("domain", "origins", "others"),
    [
        ("example.com", ["https://example.com", "HTTPS://EXAMPLE.COM"], ["http://example.com", "https://a.example.com",
         "https://example.com.evil.io", "https://example.com:8443", "null"]),
        ("*.example.com", ["https://a.example.com"], ["https://example.com", "https://a.b.example.com"]),
        ("https://example.com:8443", ["https://example.com:8443"], ["https://example.com"]),
        ("localhost:3000", ["http://localhost:3000"], ["http://localhost", "https://localhost:3000"]),
        ("bücher.example", ["https://xn--bcher-kva.example"], ["https://bucher.example"]),
        ("EXAMPLE.com/", ["https://example.com"], ["https://example.com."]),
    ],
)  # fmt: skip
def test_a_domain_is_a_host_or_one_level_below_it(domain: str, origins: list[str], others: list[str]) -> None:
    made = check_new_key(msgspec.structs.replace(PAGE, domains=(domain,)))
    assert all(origin_allowed(origin, made.domains) for origin in origins)
    assert not any(origin_allowed(origin, made.domains) for origin in others)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"domains": ()}, "domains"),
        ({"domains": ("*",)}, "domains"),
        ({"domains": ("*.com",)}, "domains"),
        ({"domains": ("*.*.example.com",)}, "domains"),
        ({"domains": ("https://a@b.com",)}, "domains"),
        ({"domains": ("https://b.com/path",)}, "domains"),
        ({"domains": ("ftp://b.com",)}, "domains"),
        ({"domains": ("a.com",) * 51}, "domains"),
        ({"scopes": ("calls:read",)}, "scopes"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"kind": "secret"}, "domains"),
        ({"kind": "secret", "domains": (), "per_day": 3}, "per_day"),
    ],
)
def test_an_unfit_key_names_its_field(wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(KeyUnfit) as caught:
        check_new_key(msgspec.structs.replace(PAGE, **wanted))
    assert caught.value.field == field


# ── answers that are given again ───────────────────────────────────────────────────────────────────────────────────


def test_of_many_at_once_one_is_the_first(place: str) -> None:
    replies = open_replies(place)
    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(lambda _: replies.begin("a", "f", secret="sk"), range(8)))
    assert sorted(map(str, begun)) == ["None", *["in_flight"] * 7]
    replies.close()


def test_an_answer_is_given_again_for_a_day_and_cannot_be_read_in_the_store(
    place: str, tmp_path: Path, clock: Time
) -> None:
    replies = open_replies(place)
    assert replies.begin("a", "f", secret="sk") is None
    assert replies.begin("a", "f", secret="sk") == "in_flight"
    replies.finish("a", 201, b"sk_live_fresh", secret="sk")
    assert replies.begin("a", "f", secret="sk") == Reply(201, b"sk_live_fresh")
    assert replies.begin("a", "g", secret="sk") == "different"
    assert replies.begin("a", "f", secret="other") == "different"
    for file in tmp_path.iterdir():
        assert b"sk_live_fresh" not in file.read_bytes()
    clock.now += 86401
    assert replies.begin("a", "f", secret="sk") is None
    replies.drop("a")
    assert replies.begin("a", "f", secret="sk") is None
    clock.now += 61
    assert replies.begin("a", "f", secret="sk") is None
    replies.close()


# ── the command line ───────────────────────────────────────────────────────────────────────────────────────────────


class CommandLine:
    """``offhook``, without the wait for a process of its own each time."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = self._capsys.readouterr()
        assert ended.value.code == code, err
        return out if code == 0 else err


@pytest.fixture
def offhook(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


def test_the_first_secret_key_of_a_data_folder_is_in_the_list(tmp_path: Path, offhook: CommandLine) -> None:
    fresh = open_workspace(tmp_path).fresh_secret_key
    offhook("keys", "list", "--data", str(tmp_path))
    keys = open_keys(tmp_path / "offhook.db")
    assert fresh is not None and keys.find(fresh) is not None
    keys.close()
    with sqlite3.connect(tmp_path / "offhook.db") as database:
        assert database.execute("SELECT count(*) FROM keys").fetchone() == (1,)

"""Recordings in an S3-compatible store: moved there, heard from there, gone from there (covers R5).

The store is simulated (moto) and checks every signature; the library that speaks to it is the product's.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx2
import pytest
from click.testing import CliRunner
from product import PATIENCE, Product
from simulated_s3 import BUCKET, SimulatedS3
from test_api import check_problem
from test_replay import write
from test_rest import Opened, Stage, opened, staged
from test_rest_recordings import link_to, log_of

from offhook.services.cli import checks, offhook
from offhook.services.recordings import BadPlace, RecordingFiles, open_bucket, parse_place
from offhook.services.recordings.bucket import CHUNK, Bucket, BucketAway, BucketRefuses
from offhook.services.recordings.moving import run_uploads, sweep, upload
from offhook.services.store import open_store, store_file
from offhook.services.tokens import RecordingTokens, open_workspace

pytestmark = pytest.mark.anyio
__all__ = ["opened"]

SOUND = os.urandom(2 * CHUNK + 17)
PLACE = f"s3://{BUCKET}/offhook/recordings"


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture(scope="module")
def s3() -> Iterator[SimulatedS3]:
    with SimulatedS3().running() as running:
        yield running


def bucket_at(url: str) -> Bucket:
    bucket = open_bucket(PLACE, url)
    assert bucket is not None
    return bucket


@pytest.fixture
def bucket(s3: SimulatedS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = bucket_at(s3.url)
    yield bucket
    for name, _ in list(bucket.names()):
        bucket.remove(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a finished recording, and one that is being written."""
    folder = tmp_path / "data" / "recordings"
    folder.mkdir(parents=True)
    for call, age in (("whole", 60), ("living", 0)):
        (folder / f"{call}.ogg").write_bytes(SOUND)
        os.utime(folder / f"{call}.ogg", (time.time() - age, time.time() - age))
    return folder


@pytest.fixture
async def stage(opened: Opened, tmp_path: Path, folder: Path, bucket: Bucket) -> AsyncIterator[Stage]:
    opened[0].project_all([*log_of("whole"), *log_of("living", ended=False)])
    tokens = RecordingTokens(lambda: open_workspace(tmp_path))
    async with staged(opened, sounds=RecordingFiles(folder, bucket), recording_tokens=tokens) as running:
        yield running


def there(bucket: Bucket) -> list[str]:
    return [name for name, _ in bucket.names()]


# ── there ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_moved_recording_is_heard_as_before(stage: Stage, folder: Path, bucket: Bucket) -> None:
    path = "/v1/calls/whole/recording"
    before = await stage.ask("GET", path)
    assert upload(folder, bucket, time.time() - 10, {}) == 1
    assert [file.name for file in folder.iterdir()] == ["living.ogg"] and there(bucket) == ["whole.ogg"]
    after = await stage.ask("GET", path)
    assert before.content == after.content == SOUND
    for first, last in ((0, 0), (CHUNK - 1, CHUNK), (5, 2 * CHUNK + 3), (len(SOUND) - 9, len(SOUND) + 9)):
        part = await stage.ask("GET", path, headers={"Range": f"bytes={first}-{last}"})
        assert (part.status_code, part.content) == (206, SOUND[first : last + 1])
    assert (await stage.ask("HEAD", path)).headers["content-length"] == str(len(SOUND))
    link = await link_to(stage, "whole")
    assert (await stage.client.get(link, headers={"Range": "bytes=-7"})).content == SOUND[-7:]
    bucket.remove("whole.ogg")
    check_problem(await stage.client.get(link), 404, "recording_not_found")


async def test_one_that_is_moved_while_it_is_asked_for_is_heard(folder: Path, bucket: Bucket) -> None:
    found = await RecordingFiles(folder, bucket).find("whole.ogg")
    assert found is not None and upload(folder, bucket, time.time() - 10, {}) == 1
    assert b"".join([chunk async for chunk in found.read(range(3, len(SOUND)))]) == SOUND[3:]
    bucket.remove("whole.ogg")
    with pytest.raises(FileNotFoundError):
        assert [chunk async for chunk in found.read(range(3))] == []


def test_the_command_line_takes_it_from_there(s3: SimulatedS3, folder: Path, bucket: Bucket) -> None:
    store = open_store(store_file(folder.parent))
    store.project_all(log_of("whole"))
    store.close()
    upload(folder, bucket, time.time() - 10, {})
    arguments = ["calls", "recording", "whole", "--output", "-", "--data", str(folder.parent), "--recordings", PLACE]
    done = CliRunner().invoke(offhook, [*arguments, "--recordings-endpoint", s3.url])
    assert done.stdout_bytes == SOUND
    gone = CliRunner().invoke(offhook, arguments, env={"OFFHOOK_RECORDINGS_ENDPOINT": "http://127.0.0.1:9"})
    assert gone.exit_code == 1 and "cannot be copied" in gone.output


def test_a_call_is_shown_with_the_place_of_its_recording(s3: SimulatedS3, folder: Path, bucket: Bucket) -> None:
    store = open_store(store_file(folder.parent))
    store.project_all(log_of("whole"))
    store.close()

    def shown(*more: str, at: str = s3.url) -> str:
        arguments = ["calls", "show", "whole", "--data", str(folder.parent), *more]
        return CliRunner().invoke(offhook, arguments, env={"OFFHOOK_RECORDINGS_ENDPOINT": at, "COLUMNS": "400"}).output

    told = ("--recordings", f"{PLACE}/")
    assert str(folder / "whole.ogg") in shown(*told)
    upload(folder, bucket, time.time() - 10, {})
    assert f"{PLACE}/whole.ogg" in shown(*told)
    assert "whole.ogg (not in this data folder any more)" in shown()
    assert f"not in this data folder; {PLACE}/ cannot be asked" in shown(*told, at="http://127.0.0.1:9")
    bucket.remove("whole.ogg")
    assert "whole.ogg (neither in this data folder nor in" in shown(*told)


def test_the_doctor_tries_the_bucket(s3: SimulatedS3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks.recordings(PLACE, s3.url)
    assert (found.verdict, there(bucket)) == ("ok", []), found
    missing = checks.recordings("s3://nowhere", s3.url)
    away = checks.recordings(PLACE, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = checks.recordings(PLACE, s3.url)
    assert {missing.verdict, away.verdict, refused.verdict} == {"fail"}
    assert "no such bucket" in missing.text and "--recordings" in missing.mend
    assert "--recordings-endpoint" in away.mend
    assert "The request signature" in refused.text
    assert "AWS_SECRET_ACCESS_KEY" in refused.mend and "<" not in refused.text
    asked = ["doctor", "--json", "--recordings", PLACE, "--recordings-endpoint", s3.url]
    said = json.loads(CliRunner().invoke(offhook, asked).output)
    assert [one["verdict"] for one in said if one["check"] == "recordings"] == ["fail"]


@pytest.mark.parametrize(
    ("place", "endpoint"),
    [("calls", None), ("s3://x", None), ("s3://Calls!", None), ("s3://calls/../x", None), ("https://calls", None),
     ("s3://calls", "minio:9000"), ("s3://calls", "https://key:secret@minio"), ("s3://calls", "ftp://minio")],
)  # fmt: skip
def test_what_names_no_bucket_is_said_at_the_start(place: str, endpoint: str | None) -> None:
    with pytest.raises(BadPlace):
        parse_place(place, endpoint)
    more = ["--recordings-endpoint", endpoint] if endpoint else []
    done = CliRunner().invoke(offhook, ["up", "--recordings", place, *more])
    assert (done.exit_code, "Write" in done.output or "write" in done.output) == (2, True)
    assert "secret" not in done.output


# ── away ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_while_the_store_is_away_nothing_is_lost(
    stage: Stage, folder: Path, s3: SimulatedS3, caplog: pytest.LogCaptureFixture
) -> None:
    away = SimulatedS3()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run_uploads(folder, bucket_at(away.url), look=0.05))
        with anyio.fail_after(30):
            while not caplog.records:
                await anyio.sleep(0.05)
            with pytest.raises(BucketAway):
                await bucket_at(away.url).find("whole.ogg")
            assert (await stage.ask("GET", "/v1/calls/whole/recording")).content == SOUND
            tasks.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records] == ["recordings wait for their store"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run_uploads(folder, bucket_at(s3.url), look=0.05))
        with anyio.fail_after(30):
            while (folder / "whole.ogg").exists():
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert (await stage.ask("GET", "/v1/calls/whole/recording")).content == SOUND


async def test_a_store_that_is_away_is_said(opened: Opened, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    opened[0].project_all(log_of("whole"))
    (folder / "whole.ogg").unlink()
    async with staged(opened, sounds=RecordingFiles(folder, bucket_at("http://127.0.0.1:9"))) as stage:
        refused = await stage.ask("GET", "/v1/calls/whole/recording")
        check_problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "5"


def test_a_wrong_key_or_bucket_leaves_the_file(
    bucket: Bucket, s3: SimulatedS3, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = open_bucket("s3://nowhere", s3.url)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for wrong in (nowhere, bucket_at(s3.url)):
        assert wrong is not None
        with pytest.raises(BucketAway):
            upload(folder, wrong, time.time() - 10, {})
    assert (folder / "whole.ogg").read_bytes() == SOUND and there(bucket) == []


async def test_a_file_that_cannot_be_moved_holds_up_no_other(
    s3: SimulatedS3, folder: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    # The first cannot be read, whoever runs this; of the second the store knows nothing good.
    (folder / "a.ogg").mkdir()
    os.utime(folder / "a.ogg", (0, 0))
    for name in ("b.ogg", "c.ogg"):
        (folder / name).write_bytes(SOUND)
        os.utime(folder / name, (0, 0))

    class Picky(Bucket):
        def put(self, file: Path) -> None:
            if file.name == "b.ogg":
                raise BucketRefuses("not this one")
            super().put(file)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run_uploads(folder, Picky(parse_place(PLACE, s3.url)), look=0.05))
        with anyio.fail_after(30):
            while there(bucket) != ["c.ogg", "whole.ogg"]:
                await anyio.sleep(0.05)
            await anyio.sleep(0.3)
        tasks.cancel_scope.cancel()
    assert sorted(file.name for file in folder.iterdir()) == ["a.ogg", "b.ogg", "living.ogg"]
    told = [(record.getMessage(), record.__dict__.get("file")) for record in caplog.records]
    assert told.count(("a recording cannot be moved", "a.ogg")) == 1, told
    assert set(told) == {("a recording cannot be moved", "a.ogg"), ("recordings wait for their store", None)}


# ── gone ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_deleted_wherever_it_lies(folder: Path, bucket: Bucket) -> None:
    files = RecordingFiles(folder, bucket)
    upload(folder, bucket, time.time() - 10, {})
    assert await files.delete("whole.ogg") and there(bucket) == []
    assert not await files.delete("whole.ogg")
    assert await files.delete("living.ogg") and list(folder.iterdir()) == []
    assert not await files.delete("../data/x.ogg")


async def test_what_is_erased_while_it_is_moved_does_not_come_back(
    folder: Path, bucket: Bucket, s3: SimulatedS3
) -> None:
    class Overtaken(Bucket):
        """The eraser is done before the copy is, and has found nothing in the bucket."""

        def put(self, file: Path) -> None:
            super().put(file)
            file.unlink()

    assert upload(folder, Overtaken(parse_place(PLACE, s3.url)), time.time() - 10, {}) == 0
    assert there(bucket) == []


@pytest.mark.parametrize("told", [True, False], ids=["told of the bucket", "not told"])
def test_a_command_that_does_not_know_the_bucket_leaves_it_to_the_records(
    told: bool, s3: SimulatedS3, folder: Path, bucket: Bucket
) -> None:
    anyio.run(write, folder.parent, log_of("whole"))
    store = open_store(store_file(folder.parent))
    store.project_all(log_of("whole"))
    upload(folder, bucket, time.time() - 10, {})
    arguments = ["calls", "erase", "whole", "--yes", "--data", str(folder.parent)]
    more = ["--recordings", PLACE, "--recordings-endpoint", s3.url] if told else []
    done = CliRunner().invoke(offhook, [*arguments, *more], env={"OFFHOOK_NATS": None})
    assert (done.exit_code, "its recording" in done.output) == (0, told), done.output
    assert [erasure.files for erasure in store.open_erasures()] == ([] if told else [("whole.ogg",)])
    assert there(bucket) == ([] if told else ["whole.ogg"])
    store.close()


def test_old_and_erased_recordings_are_swept_out(folder: Path, bucket: Bucket) -> None:
    for name in ("erased", "erased.2", "kept"):
        file = folder / f"{name}.ogg"
        file.write_bytes(SOUND)
        bucket.put(file)
    now = datetime.now(UTC).timestamp()
    assert sweep(bucket, 0.0, now + 60, lambda call: call == "erased") == 0
    assert sweep(bucket, 0.0, now - 60, lambda call: call == "erased") == 2
    assert there(bucket) == ["kept.ogg"]
    assert sweep(bucket, now - 60, 0.0, lambda call: False) == 0
    assert sweep(bucket, now + 60, 0.0, lambda call: False) == 1
    assert there(bucket) == []


def test_the_product_moves_plays_and_erases_it(tmp_path: Path, folder: Path, bucket: Bucket, s3: SimulatedS3) -> None:
    """Each role does its part: voice moves it, api plays it, records erase it."""
    (folder / "living.ogg").unlink()
    product = Product(tmp_path, "--recordings", PLACE, "--recordings-endpoint", s3.url)
    try:
        store = open_store(store_file(folder.parent))
        store.project_all(log_of("whole", workspace=open_workspace(folder.parent).id))
        store.close()
        wait_until(lambda: not (folder / "whole.ogg").exists())
        assert there(bucket) == ["whole.ogg"]
        key = json.loads(product.run("keys", "create", "--kind", "secret", "--name", "k", "--json"))["key"]
        call, headers = f"{product.url}v1/calls/whole", {"Authorization": f"Bearer {key}"}
        assert httpx2.get(f"{call}/recording", headers=headers).content == SOUND
        assert httpx2.delete(call, headers=headers).status_code == 202
        wait_until(lambda: there(bucket) == [])
    finally:
        product.stop()


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until
        time.sleep(0.1)

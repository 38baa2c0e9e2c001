"""Debian's coturn on loopback, as an operator would set it up for offhook."""

import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: How callers reach it; each test lets only one of them through.
TRANSPORTS = ("udp", "tcp", "tls")
SECRET = "a secret of the tests"
#: Options that close the other doors.
_ONLY = {
    "udp": ["--no-tcp", "--no-tls", "--no-dtls"],
    "tcp": ["--no-udp", "--no-tls", "--no-dtls"],
    "tls": ["--no-udp", "--no-tcp", "--no-dtls"],
}


def url(transport: str, port: int, host: str = "127.0.0.1") -> str:
    """The address for ``--ice``."""
    return f"turns:{host}:{port}?transport=tcp" if transport == "tls" else f"turn:{host}:{port}?transport={transport}"


@contextmanager
def open_turn_server(
    folder: Path, transport: str, port: int, *, host: str = "127.0.0.1", prefix: Sequence[str] = ()
) -> Iterator[None]:
    """A TURN server that takes callers over one transport only; ``prefix`` runs it on another host."""
    if shutil.which("turnserver") is None:
        pytest.fail("turnserver is missing; the command that runs all tests installs it (apt-get install coturn)")
    certificate, key = _certificate(folder)
    command = [
        *prefix, "turnserver", "-n", "--no-cli", "--cli-password=unused",
        "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=offhook.test",
        f"--listening-ip={host}", f"--relay-ip={host}", f"--listening-port={port}", f"--tls-listening-port={port}",
        f"--cert={certificate}", f"--pkey={key}", f"--userdb={folder / 'turndb'}", f"--pidfile={folder / 'turn.pid'}",
        "--log-file=stdout", "--simple-log",
        # The tests' voice node may be on loopback, which a TURN server in earnest must never relay to.
        "--allow-loopback-peers", *_ONLY[transport],
    ]  # fmt: skip
    log = folder / f"turn-{transport}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not _listens(transport, host, port, prefix):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(transport: str, host: str, port: int, prefix: Sequence[str]) -> bool:
    if transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect((host, port))
            try:
                probe.send(b"\0\1\0\0\x21\x12\xa4\x42" + os.urandom(12))
                return bool(probe.recv(1500))
            except OSError:
                return False
    probing = "import socket, sys; sys.exit(socket.socket().connect_ex((sys.argv[1], int(sys.argv[2]))))"
    return subprocess.run([*prefix, sys.executable, "-c", probing, host, str(port)], check=False).returncode == 0


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "turn.pem", folder / "turn.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files

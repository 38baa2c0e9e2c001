"""Debian's coturn on loopback, as an operator would set it up for offhook."""

import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
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


def url(transport: str, port: int) -> str:
    """The address for ``--ice``."""
    return (
        f"turns:127.0.0.1:{port}?transport=tcp"
        if transport == "tls"
        else f"turn:127.0.0.1:{port}?transport={transport}"
    )


@contextmanager
def open_turn_server(folder: Path, transport: str, port: int) -> Iterator[None]:
    """A TURN server that takes callers over one transport only."""
    if shutil.which("turnserver") is None:
        pytest.fail("turnserver is missing; the command that runs all tests installs it (apt-get install coturn)")
    certificate, key = _certificate(folder)
    command = [
        "turnserver", "-n", "--no-cli", "--cli-password=unused", "--use-auth-secret", f"--static-auth-secret={SECRET}",
        "--realm=offhook.test", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}",
        f"--tls-listening-port={port}", f"--cert={certificate}", f"--pkey={key}", f"--userdb={folder / 'turndb'}",
        f"--pidfile={folder / 'turn.pid'}", "--log-file=stdout", "--simple-log",
        # The tests' voice node is on loopback, which a TURN server in earnest must never relay to.
        "--allow-loopback-peers", *_ONLY[transport],
    ]  # fmt: skip
    log = folder / f"turn-{transport}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        _wait_listening(process, transport, port, log)
        yield
    finally:
        process.kill()
        process.wait()


def _wait_listening(process: "subprocess.Popen[bytes]", transport: str, port: int, log: Path) -> None:
    until = time.monotonic() + 20
    while not _listens(transport, port):
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def _listens(transport: str, port: int) -> bool:
    if transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect(("127.0.0.1", port))
            try:
                probe.send(b"\0\1\0\0\x21\x12\xa4\x42" + os.urandom(12))
                return bool(probe.recv(1500))
            except OSError:
                return False
    with socket.socket() as tcp:
        return tcp.connect_ex(("127.0.0.1", port)) == 0


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

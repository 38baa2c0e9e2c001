"""An S3-compatible store: simulated (moto), behind a real HTTP server, and strict about who asks.

Requests are checked as botocore signs them, so that a wrong key or a wrong signature is refused.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from product import PATIENCE, free_port

BUCKET = "calls"
#: Requests that are answered before keys count: those that make the bucket, the user and its key.
FREE = 4
_MAY_ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


class SimulatedS3:
    """The store at ``url``; empty and without a bucket once it was started."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        #: What a client has to have in its environment.
        self.environment: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator["SimulatedS3"]:
        """Run it, with a bucket and a key."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        server = subprocess.Popen(
            command,
            env={"INITIAL_NO_AUTH_ACTION_COUNT": str(FREE)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_ready(server)
            self._furnish()
            yield self
        finally:
            server.kill()
            server.wait()

    def _wait_ready(self, server: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert server.poll() is None, "the simulated store has ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the simulated store does not answer after {PATIENCE} s")

    def _furnish(self) -> None:
        known: dict[str, Any] = {
            "endpoint_url": self.url, "region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"
        }  # fmt: skip
        boto3.client("s3", **known).create_bucket(Bucket=BUCKET)
        users = boto3.client("iam", **known)
        users.create_user(UserName="offhook")
        key = users.create_access_key(UserName="offhook")["AccessKey"]
        users.put_user_policy(UserName="offhook", PolicyName="all", PolicyDocument=_MAY_ALL)
        self.environment = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

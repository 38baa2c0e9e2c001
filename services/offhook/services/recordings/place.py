"""Where recordings are kept beside the data folder: a bucket of an S3-compatible store."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from offhook.services.recordings.bucket import Bucket

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9_.=-]+(?:/[A-Za-z0-9_.=-]+)*))?/?")


class BadPlace(ValueError):
    """This names no bucket; the message tells a person how to write it."""


class BucketPlace(msgspec.Struct, frozen=True):
    """A bucket, what the names of recordings in it begin with, and the server it is on (None: Amazon's)."""

    bucket: str
    prefix: str | None = None
    endpoint: str | None = None


def parse_place(url: str, endpoint: str | None = None) -> BucketPlace:
    """The place that ``s3://BUCKET/PREFIX`` names. Raises ``BadPlace``."""
    found = _PLACE.fullmatch(url)
    if found is None or ".." in url:
        raise BadPlace(f"{url!r} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX.")
    if endpoint is not None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise BadPlace("Write the endpoint as https://HOST:PORT; keys stand in the environment.")
    return BucketPlace(found[1], found[2], endpoint)


def open_bucket(url: str | None, endpoint: str | None = None) -> "Bucket | None":
    """The bucket at ``url``; None without one. Asks nobody yet. Raises ``BadPlace``."""
    if url is None:
        return None
    # Its library is only there for those who have a bucket.
    from offhook.services.recordings.bucket import Bucket

    return Bucket(parse_place(url, endpoint))

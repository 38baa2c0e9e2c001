"""Recordings once they are written: read, deleted, and moved into an S3-compatible store where there is one."""

from offhook.services.recordings.files import CHUNK, RecordingFile, RecordingFiles, open_recordings
from offhook.services.recordings.place import BadPlace, BucketPlace, open_bucket, parse_place

__all__ = [
    "CHUNK",
    "BadPlace",
    "BucketPlace",
    "RecordingFile",
    "RecordingFiles",
    "open_bucket",
    "open_recordings",
    "parse_place",
]

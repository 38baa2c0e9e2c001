"""The files of the web folder: found by path, with their type and a tag of their content."""

import hashlib
from pathlib import Path

import msgspec

#: What may leave the folder, and as what (text gets its charset with the response). Anything else is not for browsers.
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".wav": "audio/wav",
    ".json": "application/json",
    ".map": "application/json",
    ".wasm": "application/wasm",
}


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    body: bytes
    media_type: str
    #: Strong entity tag, in quotes (RFC 9110 8.8.3).
    etag: str


class Assets:
    """Files below one folder. A changed file is seen at once; an unchanged one is not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._kept: dict[Path, tuple[tuple[int, int], Asset]] = {}

    def find(self, path: str) -> Asset | None:
        """The file at ``path``, relative to the folder; None where there is none for browsers."""
        parts = path.strip("/").split("/")
        if any(part.startswith(".") or not part or "\0" in part or "\\" in part for part in parts):
            return None
        file = self._folder.joinpath(*parts)
        media_type = TYPES.get(file.suffix.lower())
        if media_type is None:
            return None
        try:
            file = file.resolve(strict=True)
            status = file.stat()
            if not file.is_relative_to(self._folder) or not file.is_file():
                return None
            stamp = (status.st_mtime_ns, status.st_size)
            kept = self._kept.get(file)
            if kept is None or kept[0] != stamp:
                body = file.read_bytes()
                asset = Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
                kept = self._kept[file] = (stamp, asset)
        except OSError:
            return None
        return kept[1]


def is_known(asset: Asset, if_none_match: str | None) -> bool:
    """Whether a client that sent this ``If-None-Match`` has the file already (RFC 9110 13.1.2, weak comparison)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or asset.etag in tags

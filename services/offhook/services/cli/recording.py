"""``offhook calls recording``: the sound of a call as a file."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from offhook.services.cli.options import recordings_options
from offhook.services.cli.where import Where, own_place, refuse_folder_options

if TYPE_CHECKING:
    from offhook.services.recordings import RecordingFiles


@click.command()
@click.argument("call", metavar="ID")
@own_place
@recordings_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="File to write; '-' is the standard output. Default: ID.ogg in this folder.",
)
def recording(
    where: Where, call: str, recordings: str | None, recordings_endpoint: str | None, output: Path | None
) -> None:
    """Copy the recording of one call into a file: Ogg with Opus, the caller on the left, the agent on the right.

    \b
        offhook calls recording 1b4e28ba
        offhook calls recording 1b4e28ba --output - | ffplay -i -
    """
    import anyio

    from offhook.services.cli.call_place import open_place
    from offhook.services.recordings import open_recordings

    if where.server is not None:
        refuse_folder_options("recordings", "recordings_endpoint")
        output, size = _fetch(where.server, where.key, call, output)
    else:
        with open_place(where) as place:
            found = place.call(call).recording
        if found is None:
            raise click.ClickException("This call was not recorded.")
        output = output or Path(found.key)
        files = open_recordings(where.data, recordings, recordings_endpoint)
        size = anyio.run(partial(_copy, files, found.key, output))
    if output != Path("-"):
        click.echo(f"Wrote {size:,} bytes to {output}.", err=True)


def _fetch(server: str, key: str | None, start: str, output: Path | None) -> tuple[Path, int]:
    """Copy a recording from a server; where to, and how many bytes it has."""
    from offhook.services.cli.call_place import open_remote

    size = 0
    with open_remote(server, key) as calls:
        call = calls.find(start)
        # The server made the id up: it does not lead out of this folder.
        output = output or Path(Path(f"{call}.ogg").name)
        with calls.sound(call) as pieces:
            try:
                with click.open_file(str(output), "wb") as file:
                    for piece in pieces:
                        size += file.write(piece)
            except OSError as error:
                raise click.ClickException(f"The recording cannot be copied: {error}") from error
    return output, size


async def _copy(files: "RecordingFiles", name: str, output: Path) -> int:
    """Copy a recording; how many bytes it has."""
    try:
        sound = await files.find(name)
        if sound is None:
            raise click.ClickException(f"The recording {name} is not kept here any more.")
        with click.open_file(str(output), "wb") as file:
            async for chunk in sound.read(range(sound.size)):
                file.write(chunk)
    except OSError as error:
        raise click.ClickException(f"The recording cannot be copied: {error}") from error
    return sound.size

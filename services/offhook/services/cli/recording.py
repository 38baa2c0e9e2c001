"""``offhook calls recording``: the sound of a call as a file."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from offhook.services.cli.history import Place, own_place
from offhook.services.cli.options import recordings_options

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
@click.pass_obj
def recording(
    place: Place,
    call: str,
    own_data: Path | None,
    own_store: str | None,
    recordings: str | None,
    recordings_endpoint: str | None,
    output: Path | None,
) -> None:
    """Copy the recording of one call into a file: Ogg with Opus, the caller on the left, the agent on the right.

    \b
        offhook calls recording 1b4e28ba
        offhook calls recording 1b4e28ba --output - | ffplay -i -
    """
    import anyio

    from offhook.protocol.record import CallNotFound
    from offhook.services.cli.calls import open_kept
    from offhook.services.recordings import open_recordings

    data, store = place.or_own(own_data, own_store)
    with open_kept(data, store) as kept:
        if kept is None:
            raise CallNotFound(f"There is no call {call!r}: there were no calls yet.")
        found = kept.call(call).recording
    if found is None:
        raise click.ClickException("This call was not recorded.")
    output = output or Path(found.key)
    files = open_recordings(data, recordings, recordings_endpoint)
    size = anyio.run(partial(_copy, files, found.key, output))
    if output != Path("-"):
        click.echo(f"Wrote {size:,} bytes to {output}.", err=True)


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

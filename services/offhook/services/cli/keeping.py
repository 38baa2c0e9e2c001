"""``offhook calls export``, ``rebuild`` and ``keep``: all calls at once."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import rich_click as click

from offhook.protocol.export import ExportFormat, export_lines
from offhook.protocol.record import CallRecord
from offhook.services.cli.filtering import Wanted, filter_options
from offhook.services.cli.options import nats_option
from offhook.services.cli.where import Where, own_folder, own_place


@click.command()
@own_place
@filter_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help=("One JSON object a line, or CSV for spreadsheets (a text that begins like a formula gets an apostrophe)."),
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write. Default: the terminal.")
def export(where: Where, wanted: Wanted, form: ExportFormat, output: Path | None) -> None:
    """Write all calls, newest first, each with its transcript and analysis.

    \b
        offhook calls export --format csv --since 2026-11-01 --output november.csv
        offhook calls export --reason failed | jq .failure
    """
    from offhook.services.cli.call_place import open_place

    with open_place(where) as place:
        records = place.records(wanted(time.time()))
        if output is None:
            _write(records, form, sys.stdout.buffer)
            return
        try:
            file = output.open("wb")
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written ({error.strerror}).") from None
        with file:
            count = _write(records, form, file)
        click.echo(f"Wrote {count} calls to {output}.", err=True)


def _write(records: Iterator[CallRecord], form: ExportFormat, file: IO[bytes]) -> int:
    count = 0

    def counted() -> Iterator[CallRecord]:
        nonlocal count
        for record in records:
            count += 1
            yield record

    for line in export_lines(counted(), form):
        file.write(line)
    file.flush()
    return count


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@own_folder
@nats_option
def rebuild(where: Where, ids: tuple[str, ...], nats: str | None) -> None:
    """Make records anew from the logs of their calls: of all logs that are kept, or of the calls named.

    For a store that was lost, or after an upgrade that keeps more. Nobody is told of it, analyses stay, and a record
    whose log is gone is left as it is. May run beside offhook.
    """
    import anyio

    from offhook.services.cli.rebuilding import rebuild_calls

    tell = _progress if sys.stderr.isatty() else None
    built, skipped = anyio.run(rebuild_calls, where.data, where.store, nats, ids, tell)
    click.echo(f"Rebuilt {built} records" + (f", left {skipped} as they are." if skipped else "."))


def _progress(done: int, of: int) -> None:
    click.echo(f"\r\033[K{done} of {of} calls", nl=done == of, err=True)


@click.command()
@own_folder
@click.option("--days", type=click.IntRange(min=1), help="Erase calls so many days after their end.")
@click.option("--for-ever", is_flag=True, help="Erase none by themselves (as it is at first).")
def keep(where: Where, days: int | None, for_ever: bool) -> None:
    """Say for how long calls are kept, or show it.

    Older calls are erased with their logs, recordings and analyses, by the records role, within ten minutes.
    """
    from offhook.services.cli.keeping_place import keep_calls

    if days is not None and for_ever:
        raise click.UsageError("Either --days or --for-ever.")
    kept = keep_calls(where.data, where.store, days=days, change=days is not None or for_ever)
    click.echo("Calls are kept for ever." if kept is None else f"Calls are kept for {kept} days.")

"""``offhook doctor``: is this machine fit for offhook?"""

from pathlib import Path

import rich_click as click

from offhook.services.cli.options import data_option, http_option, media_address_option, recordings_options
from offhook.services.settings import Address

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@data_option
@http_option
@media_address_option
@recordings_options
@click.option("--json", "as_json", is_flag=True, help="A JSON array instead of lines.")
@click.pass_context
def doctor(
    ctx: click.Context,
    data: Path,
    http: Address,
    media_address: str | None,
    recordings: str | None,
    recordings_endpoint: str | None,
    as_json: bool,
) -> None:
    """Check this machine: what offhook needs, and what is worth knowing.

    Each line says ok, warn or fail and how to mend it; exit code 1 when something that is needed fails. Give it the
    options you will give to 'offhook up':

    \b
        offhook doctor --http :443

    Into the bucket of recordings, if you name one, it writes a small object, and deletes it.
    """
    import msgspec

    from offhook.services.cli.checks import Verdict, examine

    findings = list(examine(data, http, media_address, (recordings, recordings_endpoint)))
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            verdict = click.style(f"{finding.verdict:<4}", fg=_COLOURS[finding.verdict])
            click.echo(f"{verdict}  {finding.check:<12} {finding.text}")
            if finding.mend:
                click.echo(f"{'':<19}{finding.mend}")
    ctx.exit(1 if any(finding.verdict is Verdict.FAIL for finding in findings) else 0)

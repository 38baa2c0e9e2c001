"""``offhook simulate``: whole clusters in virtual time, one world for each seed, until an invariant breaks."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import rich_click as click

if TYPE_CHECKING:
    from offhook.simulation.hunt import Outcome


class _Job(msgspec.Struct, frozen=True):
    seed: int
    calls: int
    faults: bool


class _Result(msgspec.Struct, frozen=True):
    seed: int
    #: Name and sentence of the invariant that broke; empty when all held.
    invariant: str
    why: str
    #: Virtual seconds that callers talked, in all.
    talked: float


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=100, show_default=True, help="How many worlds to run.")
@click.option("--from", "first", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--seed", type=click.IntRange(min=0), help="Run this one again, and show its timeline.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time.  [default: one for each core]")
@click.option("--calls", type=click.IntRange(min=1), default=10, show_default=True, help="Calls in each world.")
@click.option("--calm", is_flag=True, help="No troubles: only nodes and callers.")
@click.option("--call", default="", help="With --seed: only this call (the last digits of its id).")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="With --seed, or at a failure: write the timeline as a picture, one HTML file.",
)
def simulate(
    seeds: int,
    first: int,
    seed: int | None,
    jobs: int | None,
    calls: int,
    calm: bool,
    call: str,
    picture: Path | None,
) -> None:
    """Run whole clusters of simulated nodes and callers, with troubles, and check what must always hold.

    Each seed is a world of two gateways, two voice nodes and two records nodes. Nodes are killed and frozen, messages
    get lost, the disk is full; the actors are the real ones. It stops at the first seed that breaks an invariant and
    prints the line that runs it again.
    """
    if seed is not None:
        sys.exit(_show(_Job(seed, calls, not calm), call, picture))
    failed = _hunt([_Job(number, calls, not calm) for number in range(first, first + seeds)], jobs or _cores())
    if failed is None:
        return
    options = (f" --calls {calls}" if calls != 10 else "") + (" --calm" if calm else "")
    click.echo(f"Seed {failed.seed} breaks {failed.invariant!r}: {failed.why}")
    click.echo("Run it again:")
    click.echo(f"    offhook simulate --seed {failed.seed}{options}")
    sys.exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(job: _Job) -> _Result:
    outcome = _outcome(job)
    broken = outcome.violation
    return _Result(job.seed, broken.invariant if broken else "", broken.why if broken else "", outcome.talked)


def _outcome(job: _Job) -> "Outcome":
    from offhook.simulation.hunt import run_seed

    return run_seed(job.seed, calls=job.calls, faults=job.faults)


def _prepare() -> None:
    """A worker begins: load everything."""
    from offhook.simulation.hunt import settle

    settle()


def _hunt(work: list[_Job], jobs: int) -> _Result | None:
    """Run seeds in parallel; the first failure, or None."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    talked = 0.0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("seeds", total=len(work), rate="")
        for count, result in enumerate(_results(work, jobs), 1):
            talked += result.talked
            elapsed = progress.tasks[0].elapsed or 1e-9
            progress.update(bar, completed=count, rate=f"{count / elapsed:.1f}/s")
            if result.invariant:
                return result
    click.echo(f"{len(work)} seeds, {talked / 3600:.1f} hours of calls: every invariant held.")
    return None


def _results(work: list[_Job], jobs: int) -> Iterator[_Result]:
    if jobs == 1:
        yield from map(_run, work)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=_prepare) as pool:
        yield from pool.imap_unordered(_run, work, chunksize=max(1, min(8, len(work) // (jobs * 4))))


def _show(job: _Job, call: str, picture: Path | None) -> int:
    """Run one seed and print what happened; the exit code."""
    outcome = _outcome(job)
    broken = outcome.violation
    shown = call or (broken.call if broken is not None else "")
    click.echo(outcome.timeline.text(call=shown))
    if picture is not None:
        from offhook.simulation.picture import draw

        picture.write_text(draw(outcome, call=shown), encoding="utf-8")
        click.echo(f"\nThe picture is in {picture}.")
    if broken is None:
        click.echo(f"\nSeed {job.seed}: every invariant held.")
        return 0
    click.echo(f"\nSeed {job.seed} breaks {broken.invariant!r}: {broken.why}")
    return 1

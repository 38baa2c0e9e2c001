"""Where a command works: on the data folder of this machine, or on a server; what the options for it say.

What the command line says counts more than what variables say: with ``--data`` or ``--store`` behind a command, the
server that OFFHOOK_SERVER names is not asked.
"""

from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, cast

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from offhook.services.cli.options import Function, data_option, store_option, to_store_url


class Where(NamedTuple):
    """What the options say."""

    data: Path
    store: str | None = None
    #: None: the data folder.
    server: str | None = None
    key: str | None = None
    #: Whether the command line names the server; else a variable does.
    said: bool = False

    def or_own(self, data: Path | None, store: str | None, server: str | None, key: str | None) -> "Where":
        """The same, or what the command itself was told. Raises a usage error."""
        if server is not None:
            _refuse_both(data or store)
            return Where(self.data, None, server, key or self.key, said=True)
        if data is not None or store is not None:
            return Where(data or self.data, store or self.store)
        return self._replace(key=key or self.key)


def place_options(function: Function) -> Function:
    """``--server`` and ``--key``, or ``--data`` and ``--store``."""
    return _with_server(data_option(store_option(_settled(function))))


def data_folder_only(function: Function) -> Function:
    """For a command with ``--data`` that no server can do: refuses where a server is named."""

    @wraps(function)
    def call(*arguments: Any, server: str | None, key: str | None, **options: Any) -> Any:
        _refuse_server(Where(options["data"], None, server, key, is_said("server")))
        return function(*arguments, **options)

    return _with_server(_settled(cast(Function, call)), hidden=True)


def own_place(function: Function) -> Function:
    """The options of ``place_options`` behind a command of a group, where people write them, too; it gets ``where``."""
    return _own(function, on_server=True)


def own_folder(function: Function) -> Function:
    """``--data`` and ``--store`` behind a command of such a group that no server can do; it gets ``where``."""
    return _own(function, on_server=False)


def _own(function: Function, *, on_server: bool) -> Function:
    @wraps(function)
    def call(*arguments: Any, own_data: Any, own_store: Any, own_server: Any, own_key: Any, **options: Any) -> Any:
        where = get_current_context().find_object(Where)
        assert where is not None
        where = where.or_own(own_data, own_store, own_server, own_key)
        if not on_server:
            _refuse_server(where)
        return function(*arguments, where=where, **options)

    folder = "Data folder." if on_server else "Data folder; needed where OFFHOOK_SERVER is set."
    wrapped: Any = call
    for option in (
        click.option("--store", "own_store", callback=to_store_url, metavar="URL", help="Database with the records."),
        click.option("--data", "own_data", type=click.Path(file_okay=False, path_type=Path), help=folder),
        click.option("--key", "own_key", metavar="sk_...", hidden=not on_server, help="Secret key for --server."),
        click.option("--server", "own_server", metavar="URL", hidden=not on_server, help="Work on this server."),
    ):
        wrapped = option(wrapped)
    return cast(Function, wrapped)


def refuse_folder_options(*options: str) -> None:
    """Raise a usage error where the command line has one of these, which are about a data folder, for a server."""
    for option in filter(is_said, options):
        raise click.UsageError(
            f"--{option.replace('_', '-')} is about a data folder: a server knows its own. Leave it out."
        )


def _with_server(function: Function, *, hidden: bool = False) -> Function:
    server = click.option(
        "--server", envvar="OFFHOOK_SERVER", show_envvar=True, metavar="URL", hidden=hidden,
        help="Work on this server, such as https://calls.example.org. Default: on the data folder, which --data and "
        "--store on the command line mean in any case.",
    )  # fmt: skip
    key = click.option(
        "--key", envvar="OFFHOOK_KEY", show_envvar=True, metavar="sk_...", hidden=hidden,
        help="Secret key for --server.",
    )  # fmt: skip
    return server(key(function))


def _settled(function: Function) -> Function:
    """Let the command line win over the variable. Raises a usage error where it names two places."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if is_said("data") or is_said("store"):
            _refuse_both(is_said("server"))
            options["server"] = None
        return function(*arguments, **options)

    return cast(Function, call)


def is_said(option: str) -> bool:
    """Whether the command line has this option of the command that runs; else a variable has, or nobody."""
    return get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _refuse_both(both: object) -> None:
    if both:
        raise click.UsageError("Either --server, or --data and --store: they name different places.")


def _refuse_server(where: Where) -> None:
    if where.server is None:
        return
    command = get_current_context().command_path
    if where.said:
        raise click.UsageError(
            f"'{command}' works beside a data folder only: use it on the machine that has the folder, without --server."
        )
    raise click.UsageError(
        f"'{command}' works beside a data folder only, and OFFHOOK_SERVER names a server: name the folder with --data."
    )

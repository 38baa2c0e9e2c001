"""Lists of things as people read them in a terminal."""

from collections.abc import Iterable, Sequence

from offhook.services.cli.rendering import plain


def table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text. The first column names the thing and is never broken, so that it can be copied.

    Columns without names have no heads.
    """
    from rich.table import Table
    from rich.text import Text

    from offhook.services.cli.calls import print_to_text

    table = Table(box=None, show_header=any(columns))
    for number, name in enumerate(columns):
        table.add_column(name, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row))
    return print_to_text(table)

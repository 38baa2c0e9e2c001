"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from offhook.protocol.ice import is_turn, parse_ice_url
from offhook.services.settings import Address, data_folder, parse_address

Function = TypeVar("Function", bound=Callable[..., Any])


def to_address(_ctx: click.Context, _param: click.Parameter, text: str) -> Address:
    """A HOST:PORT option as an address, or a usage error that says what is wrong with it."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _to_ip_address(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    import ipaddress

    try:
        return text and str(ipaddress.ip_address(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an IP address, such as 192.0.2.7.") from None


def _to_ice_urls(_ctx: click.Context, _param: click.Parameter, urls: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(parse_ice_url, urls))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def require_turn_secret(ice: tuple[str, ...], secret: str | None) -> None:
    """Raise a usage error when there are TURN servers and nothing to make their credentials from."""
    if not secret and any(map(is_turn, ice)):
        raise click.UsageError(
            "A TURN server needs --turn-secret: the secret that stands as static-auth-secret in its own configuration."
        )


def data_option(function: Function) -> Function:
    """``--data``: the data folder."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=data_folder,
        envvar="OFFHOOK_DATA",
        show_envvar=True,
        show_default="~/.local/share/offhook",
        help="Folder for everything that is kept; it is created if missing.",
    )(function)


def to_store_url(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    """A database URL, or a usage error that says what is wrong with it and shows no password."""
    if not text:
        return None
    if not text.startswith(("postgresql://", "postgres://", "sqlite:///")):
        raise click.BadParameter("Write it as postgresql://USER:PASSWORD@HOST/DATABASE, or as sqlite:////PATH/TO/FILE.")
    return text


def store_option(function: Function) -> Function:
    """``--store``: where the records are kept."""
    return click.option(
        "--store",
        callback=to_store_url,
        envvar="OFFHOOK_STORE",
        show_envvar=True,
        metavar="URL",
        help="Database with the records, such as postgresql://offhook@db.example.org/offhook. "
        "Default: an SQLite file in the data folder.",
    )(function)


def _to_networks(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    from offhook.protocol.webhooks import parse_networks

    try:
        parse_networks(texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return texts


def webhook_allow_option(function: Function) -> Function:
    """``--webhook-allow``: inner networks that webhooks may go to."""
    return click.option(
        "--webhook-allow",
        multiple=True,
        callback=_to_networks,
        metavar="NETWORK",
        envvar="OFFHOOK_WEBHOOK_ALLOW",
        show_envvar=True,
        help="Network that webhooks may go to beside the public ones, such as 10.1.0.0/16. May be repeated; in the "
        "variable, with spaces between.",
    )(function)


def model_allow_option(function: Function) -> Function:
    """``--model-allow``: inner networks where models may be asked."""
    return click.option(
        "--model-allow",
        multiple=True,
        callback=_to_networks,
        metavar="NETWORK",
        envvar="OFFHOOK_MODEL_ALLOW",
        show_envvar=True,
        help="Network of models that analyses may ask beside the public ones, such as 127.0.0.1 for a model on this "
        "machine. May be repeated; in the variable, with spaces between.",
    )(function)


def trusted_proxy_option(function: Function) -> Function:
    """``--trusted-proxy``: who is believed about the visitor."""
    return click.option(
        "--trusted-proxy",
        multiple=True,
        callback=_to_networks,
        metavar="NETWORK",
        envvar="OFFHOOK_TRUSTED_PROXY",
        show_envvar=True,
        help="Network of proxies that say who the visitor is (X-Forwarded-For, -Proto and -Host), such as 10.1.0.0/16; "
        "those on this machine are believed anyway. To an api role the gateways are proxies. May be repeated; in the "
        "variable, with spaces between.",
    )(function)


def http_option(function: Function) -> Function:
    """``--http``: the public address."""
    return click.option(
        "--http",
        callback=to_address,
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        envvar="OFFHOOK_HTTP",
        show_envvar=True,
        show_default=True,
        help="Address and port that browsers connect to. ':8080' serves every interface.",
    )(function)


def nats_option(function: Function) -> Function:
    """``--nats``: the bus to ask."""
    return click.option(
        "--nats",
        envvar="OFFHOOK_NATS",
        show_envvar=True,
        metavar="URL",
        help="NATS server with the logs. Default: that of the offhook on the data folder, running or not.",
    )(function)


def agents_option(function: Function) -> Function:
    """``--agents``: the folder of agent documents."""
    return click.option(
        "--agents",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        envvar="OFFHOOK_AGENTS",
        show_envvar=True,
        help="Folder of agent documents. Default: the agents that come with offhook.",
    )(function)


def media_address_option(function: Function) -> Function:
    """``--media-address``: where audio is offered."""
    return click.option(
        "--media-address",
        callback=_to_ip_address,
        metavar="IP",
        envvar="OFFHOOK_MEDIA_ADDRESS",
        show_envvar=True,
        help="Address that audio is offered on. Default: every address of this machine.",
    )(function)


def media_options(function: Function) -> Function:
    """``--media-address``, ``--ice``, ``--turn-secret``, ``--agents``: what calls are made with."""
    for option in (
        agents_option,
        click.option(
            "--turn-secret",
            envvar="OFFHOOK_TURN_SECRET",
            show_envvar=True,
            help="Secret shared with the TURN servers; callers get short-lived credentials made from it.",
        ),
        click.option(
            "--ice",
            multiple=True,
            callback=_to_ice_urls,
            metavar="URL",
            envvar="OFFHOOK_ICE",
            show_envvar=True,
            help="STUN or TURN server that callers use, such as 'turn:turn.example.org:3478?transport=udp'. "
            "May be repeated; in the variable, with spaces between.",
        ),
        media_address_option,
    ):
        function = option(function)
    return function


def keep_logs_option(default: int | None) -> Callable[[Function], Function]:
    """``--keep-logs``: how long the logs of calls are kept."""
    return click.option(
        "--keep-logs",
        type=click.IntRange(min=0),
        metavar="DAYS",
        default=default,
        envvar="OFFHOOK_KEEP_LOGS",
        show_envvar=True,
        show_default=default is not None,
        help="Days for which the log of a call is kept for replay; 0: for ever. Records and transcripts stay.",
    )


def keep_recordings_option(function: Function) -> Function:
    """``--keep-recordings``: how long recordings are kept."""
    return click.option(
        "--keep-recordings",
        type=click.IntRange(min=0),
        metavar="DAYS",
        default=30,
        envvar="OFFHOOK_KEEP_RECORDINGS",
        show_envvar=True,
        show_default=True,
        help="Days for which recordings of calls are kept; 0: for ever.",
    )(function)


def _to_place(ctx: click.Context, _param: click.Parameter, url: str | None) -> str | None:
    from offhook.services.recordings import BadPlace, parse_place

    try:
        return url and str(parse_place(url, ctx.params.get("recordings_endpoint")) and url)
    except BadPlace as error:
        raise click.BadParameter(str(error)) from None


def recordings_options(function: Function) -> Function:
    """``--recordings``, ``--recordings-endpoint``: the bucket that recordings are moved into."""
    for option in (
        click.option(
            "--recordings",
            callback=_to_place,
            metavar="s3://BUCKET/PREFIX",
            envvar="OFFHOOK_RECORDINGS",
            show_envvar=True,
            help="Bucket that finished recordings are moved into. Its keys stand in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, its region in AWS_REGION. Default: they stay in the data folder.",
        ),
        click.option(
            "--recordings-endpoint",
            is_eager=True,
            metavar="URL",
            envvar="OFFHOOK_RECORDINGS_ENDPOINT",
            show_envvar=True,
            help="Server that the bucket is on, such as https://minio.example.org:9000. Default: Amazon S3.",
        ),
    ):
        function = option(function)
    return function


def metrics_option(function: Function) -> Function:
    """``--metrics``: where Prometheus may ask."""
    return click.option(
        "--metrics",
        callback=lambda ctx, param, text: None if text is None else to_address(ctx, param, text),
        metavar="HOST:PORT",
        envvar="OFFHOOK_METRICS",
        show_envvar=True,
        help="Serve figures for Prometheus at http://HOST:PORT/metrics to whoever can reach it: keep it on 127.0.0.1 "
        "or an inner network. With 'up', the roles have this port and the next three. Default: nowhere.",
    )(function)


def log_options(function: Function) -> Function:
    """``-v``, ``--log-level``, ``--log-format``."""
    for option in (
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            envvar="OFFHOOK_LOG_FORMAT",
            show_envvar=True,
            show_default=True,
            help="Log lines for people, or one JSON object a line.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default="warning",
            envvar="OFFHOOK_LOG_LEVEL",
            show_envvar=True,
            show_default=True,
            help="Least important log lines to show.",
        ),
        click.option("-v", "--verbose", is_flag=True, help="The same as --log-level info."),
    ):
        function = option(function)
    return function

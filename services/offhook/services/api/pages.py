"""Pages and their files."""

from pathlib import Path
from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from offhook.services.api.assets import Assets, is_known
from offhook.services.api.problems import Problem
from offhook.services.api.route import AnyRequest


class Pages:
    """What a browser shows, from the web folder."""

    def __init__(self, web_folder: Path) -> None:
        self._assets = Assets(web_folder)

    def handlers(self) -> list[HTTPRouteHandler]:
        """The handlers of pages and files."""
        return [
            get("/", sync_to_thread=False)(self.show_call_page),
            get("/console", sync_to_thread=False)(self.show_console),
            get("/v1/docs", sync_to_thread=False)(self.show_api_page),
            get("/web/{path:path}", sync_to_thread=False)(self.show_file),
            get("/healthz", sync_to_thread=False)(self.show_health),
        ]

    def show_call_page(self, request: AnyRequest) -> Response[bytes]:
        """The page of a call."""
        return self._file(request, "pages/call/index.html")

    def show_console(self, request: AnyRequest) -> Response[bytes]:
        """The page for those who run the calls."""
        return self._file(request, "pages/console/index.html")

    def show_api_page(self, request: AnyRequest) -> Response[bytes]:
        """The page that shows the API (R7)."""
        return self._file(request, "pages/api/index.html")

    def show_file(self, request: AnyRequest, path: FromPath[str]) -> Response[bytes]:
        """A file of the web folder."""
        response = self._file(request, path)
        # The files are public, and a module on another site's page is fetched with CORS.
        response.headers["access-control-allow-origin"] = "*"
        return response

    def show_health(self) -> dict[str, str]:
        """Whether this process serves."""
        return {"status": "ok"}

    def _file(self, request: AnyRequest, path: str) -> Response[bytes]:
        asset = self._assets.find(path)
        if asset is None:
            raise Problem(404, "not_found", "There is no such file.")
        headers: dict[str, Any] = {"etag": asset.etag, "cache-control": "no-cache"}
        if is_known(asset, request.headers.get("if-none-match")):
            return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
        return Response(asset.body, headers=headers, media_type=asset.media_type)

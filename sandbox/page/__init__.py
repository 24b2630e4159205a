"""The page: the workspace as people see it in a browser, several of them at once, on the sandbox's own port.

Nothing is fetched from anywhere else and nothing is built: plain HTML, CSS and ES modules, served as they lie
in `static`. `guard` keeps other sites out, `feed` tells each window what changed, `actions` is what a person can do
there, `page_values` how things are handed over, `inspector` what crossed the wire.
"""

from starlette.routing import BaseRoute, Route, WebSocketRoute

from sandbox.page import site, uploads
from sandbox.page.feed import Feed
from sandbox.page.guard import Guarded
from sandbox.platform import Platform

__all__ = ["routes"]


def routes(platform: Platform) -> list[BaseRoute]:
    """The routes of the page and its feed, none of them open to another site."""
    feed = Feed(platform)
    files = uploads.Uploads(platform)
    return [
        Route("/", Guarded(site.index), methods=["GET"]),
        Route("/page/static/{name}", Guarded(site.static), methods=["GET"]),
        Route("/page/files/{file_id}", Guarded(files.download), methods=["GET"]),
        Route("/page/files", Guarded(files.upload), methods=["POST"]),
        WebSocketRoute("/page/feed", Guarded(feed)),
    ]

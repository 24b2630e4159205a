"""How the intake describes itself, for programs and on a page that loads nothing from anywhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from bot.intake import docs_page
from bot.intake.alertmanager import AlertmanagerAlert
from bot.intake.events import Event
from bot.intake.grafana import GrafanaAlert
from tests.intake.conftest import Bench

INTAKE = ("/intake/events", "/intake/alertmanager", "/intake/grafana", "/intake/sentry/{token_id}")


class Reader(HTMLParser):
    """What a page holds besides text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]


def test_the_intake_describes_itself(bench: Bench) -> None:
    description = bench.client.get("/intake/openapi.json").json()
    for path in INTAKE:
        post = description["paths"][path]["post"]
        assert set(post["responses"]) >= {"202", "400", "401", "413", "422", "429", "503"}
        assert post["requestBody"]["content"]["application/json"]["schema"]
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_the_description_is_what_the_models_read(bench: Bench) -> None:
    paths = bench.client.get("/intake/openapi.json").json()["paths"]
    bodies = {path: paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"] for path in INTAKE}
    one, several = bodies["/intake/events"]["anyOf"]
    assert several["items"] == one
    assert set(one["properties"]) == set(Event.model_fields)
    for path, model in (("/intake/alertmanager", AlertmanagerAlert), ("/intake/grafana", GrafanaAlert)):
        alert = bodies[path]["properties"]["alerts"]["items"]
        names = {field.alias or name for name, field in model.model_fields.items()}
        assert set(alert["properties"]) == names
        assert alert["required"] == ["status"]
    webhooks = bodies["/intake/sentry/{token_id}"]["anyOf"]
    assert [webhook["required"] for webhook in webhooks] == [["action", "data"]] * 3
    assert "$ref" not in json.dumps(bodies), "a generator finds every definition"


def test_the_page_names_every_path_field_and_answer_and_loads_nothing(bench: Bench) -> None:
    answer = bench.client.get("/intake/docs")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for words in (
        *INTAKE,
        "dedup_key",
        "alerts[].fingerprint",
        "dashboardURL",
        "Sentry-Hook-Signature",
        "data.event.issue_id",
        "429",
    ):
        assert words in answer.text, words
    reader = Reader()
    reader.feed(answer.text)
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert reader.addresses == ["/intake/openapi.json"]
    assert not re.search(r"@import|url\(", answer.text)
    for path in ("/docs", "/redoc", "/intake/docs/oauth2-redirect", "/docs/oauth2-redirect"):
        assert bench.client.get(path).status_code == 404, path


def test_what_the_description_says_is_text() -> None:
    operation = {"description": "<b>&", "responses": {"202": {"description": "<script>"}}}
    drawn = docs_page.render_page(
        {
            "info": {"title": "t", "summary": "s"},
            "paths": {"/x": {"post": operation}},
            "servers": [{"url": "https://a"}],
        }
    )
    assert "<h2><code>POST https://a/x</code></h2>" in drawn
    drawn = docs_page.render_page({"info": {"title": "<i>", "summary": "s"}, "paths": {"/<x>": {"post": operation}}})
    assert "<script>" not in drawn and "<b>" not in drawn and "<i>" not in drawn and "<x>" not in drawn
    assert "&lt;script&gt;" in drawn

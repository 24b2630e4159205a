"""The intake against its own OpenAPI description: deliveries that schemathesis makes of it, right and wrong.

Whatever comes is answered with a status and a body that the description names. Two of schemathesis' rules do not
hold here by intent, and are left out: what fits the schema may still be refused (a date in the year 3000, a team that
nobody knows), and what does not fit it is taken as far as it is good.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from bot.intake.http import create_http_app
from bot.intake.server import HttpServer
from bot.intake.tokens import Source
from storage.engine import Store
from tests.intake.conftest import SECRET_KEY, SENTRY_SECRET, Bench
from tests.long import LONG

EXAMPLES = 100 if LONG else 12
RESOURCES = ("metric_alert", "event_alert", "issue", "comment")


@pytest.fixture
def address(store: Store) -> Iterator[str]:
    """An intake with the pace and the clock of a real one."""
    server = HttpServer(create_http_app(store, slack_problem=lambda: None, secret_key=SECRET_KEY), "127.0.0.1", 0)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def _sign(request: Any) -> Any:
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    request.headers["Sentry-Hook-Signature"] = hmac.new(SENTRY_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return request


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("source", list(Source))
def test_every_delivery_is_answered_as_described(
    bench: Bench, address: str, source: Source, mode: GenerationMode
) -> None:
    description = httpx.get(f"{address}/intake/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description, config=SchemathesisConfig())
    signed = source is Source.SENTRY
    operation = schema["/intake/sentry/{token_id}" if signed else f"/intake/{source}"]["POST"]
    token = bench.sentry().rsplit("/", 1)[1] if signed else bench.token(source=source)
    good: dict[str, Any] = {"path_parameters": {"token_id": token}} if signed else {}
    statuses = set()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode, **good), resource=st.sampled_from(RESOURCES))
    def answered(case: schemathesis.Case[Any], resource: str) -> None:
        if signed:
            answer = case.call(address, headers={"Sentry-Hook-Resource": resource}, auth=_sign)
        else:
            answer = case.call(address, headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, excluded_checks=[positive_data_acceptance, negative_data_rejection])
        body = answer.json()
        assert body["errors"] or answer.status_code == 202
        assert not body["accepted"] or answer.status_code == 202
        statuses.add(answer.status_code)

    answered()
    assert statuses & {202, 422}, "some came as far as the parser"

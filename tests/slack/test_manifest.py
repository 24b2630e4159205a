"""The app manifest, held against the source of the bot and against what Slack takes for one.

A scope too few breaks a responder's command in somebody's workspace; one too many is a question that an
administrator rightly asks before they let the app in.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest

from bot.cli import main
from bot.handlers import router
from bot.handlers.verb import Registry
from bot.slack.manifest import EVENTS, INSTALLATION_EVENTS, SCOPES, manifest
from sandbox import Sandbox
from sandbox.scopes import BY_EVENT, accepted
from tests.cli.test_settings import VARIABLES
from tests.slack.calls import called

# Asked of with the app-level token, which has a scope of its own, or open to every token.
NEEDS_NO_BOT_SCOPE = {
    "apps.connections.open",
    "auth.revoke",
    "auth.teams.list",
    "auth.test",
    "oauth.v2.access",
    "views.open",
    "views.publish",
    "views.push",
    "views.update",
}
# What a scope opens besides methods and events.
FEATURES = {"slash command": "slash_commands", "shortcuts": "shortcuts"}
# Read by name in an answer, not by calling something: https://docs.slack.dev/reference/scopes/users.read.email
ALSO = {("users:read.email", "users.info")}

PUBLIC = "https://tocsin.example.com"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What `manifest` prints."""
    assert main(["manifest", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    return found


# --- scopes ------------------------------------------------------------------------------------------------


def test_every_method_that_the_bot_calls_has_its_scope() -> None:
    for method, files in called().items():
        if method in NEEDS_NO_BOT_SCOPE:
            continue
        opening = set(accepted(method))
        assert opening, f"{method} ({', '.join(sorted(files))}): which scope it needs is not known here"
        asked = {scope for scope, uses in SCOPES.items() if method in uses}
        assert asked & opening, f"{method} ({', '.join(sorted(files))}) needs one of {sorted(opening)}"


def test_every_event_has_its_scope() -> None:
    for event in EVENTS:
        if event == "app_home_opened":  # the one event that needs none
            continue
        assert event in SCOPES.get(BY_EVENT[event], ()), f"{event} needs {BY_EVENT[event]}"


def test_every_scope_is_used_for_what_it_says() -> None:
    methods = called()
    features = manifest("/incident", None)["features"]
    for scope, uses in SCOPES.items():
        assert uses, scope
        for use in uses:
            if use in FEATURES:
                assert scope == "commands" and features[FEATURES[use]], (scope, use)
            elif use in EVENTS:
                assert BY_EVENT[use] == scope, (scope, use)
            else:
                assert use in methods, f"{scope}: {use} is called nowhere"
                assert scope in accepted(use) or (scope, use) in ALSO, f"{use} does not need {scope}"


def test_what_needs_no_scope_is_called() -> None:
    assert called().keys() >= NEEDS_NO_BOT_SCOPE


# --- events, shortcuts, the command ------------------------------------------------------------------------


def handled() -> set[str]:
    """The types of events that the desk does something about."""
    kinds = set(Registry.collect().events)
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(router.Router.event)))):
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == "event.kind":
            for constant in ast.walk(node.comparators[0]):
                if isinstance(constant, ast.Constant):
                    kinds.add(str(constant.value))
    return kinds


def test_every_event_that_is_handled_is_subscribed_to_and_no_other() -> None:
    # Slack calls a message by the kind of its conversation when it is subscribed to, and just so in the event.
    subscribed = {event.partition(".")[0] for event in EVENTS}
    assert subscribed | INSTALLATION_EVENTS.keys() == handled()


def test_the_manifest_for_many_workspaces_adds_what_installations_need(capsys: pytest.CaptureFixture[str]) -> None:
    one, many = printed(capsys, "--http", PUBLIC), printed(capsys, "--many", "--http", f"{PUBLIC}/slack/events")
    assert many["oauth_config"] == {
        "redirect_urls": [f"{PUBLIC}/slack/oauth_redirect"],
        "scopes": one["oauth_config"]["scopes"],
    }
    assert set(many["settings"]["event_subscriptions"]["bot_events"]) == {*EVENTS, *INSTALLATION_EVENTS}
    assert many["settings"]["token_rotation_enabled"] and many["settings"]["org_deploy_enabled"]
    assert not one["settings"]["token_rotation_enabled"], "a token of the environment would end after twelve hours"
    assert many["features"] == one["features"] and not many["settings"]["socket_mode_enabled"]


def test_the_manifest_for_many_workspaces_needs_an_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["manifest", "--many"]) == 2
    assert capsys.readouterr().err.startswith("--many: needs the address")
    monkeypatch.setenv("PUBLIC_URL", PUBLIC)
    assert printed(capsys, "--many")["oauth_config"]["redirect_urls"] == [f"{PUBLIC}/slack/oauth_redirect"]


def test_every_shortcut_has_its_handler_and_the_command_is_the_one_in_the_settings() -> None:
    for url in (None, PUBLIC):
        features = manifest("/tocsin", url)["features"]
        assert {one["callback_id"] for one in features["shortcuts"]} == Registry.collect().shortcuts.keys()
        (command,) = features["slash_commands"]
        assert command["command"] == "/tocsin"
        assert command["should_escape"] is True  # mentions arrive as ids


def test_home_and_direct_messages_are_open() -> None:
    assert manifest("/incident", None)["features"]["app_home"] == {
        "home_tab_enabled": True,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": False,
    }


# --- as Slack takes it -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A text of at most so many characters."""

    most: int
    least: int = 1
    like: str = ".*"


@dataclass(frozen=True)
class Many:
    """A list of one kind of thing."""

    of: Any
    most: int
    least: int = 0


@dataclass(frozen=True)
class Things:
    """An object: what it must have, and what it may have besides."""

    needed: dict[str, Any]
    allowed: dict[str, Any]


URL = Text(3500, like="https://.*")
# https://github.com/slackapi/manifest-schema, version 1: the parts that this app uses.
SCHEMA = Things(
    {"display_information": Things({"name": Text(35)}, {"description": Text(140), "background_color": Text(7, 4)})},
    {
        "features": Things(
            {},
            {
                "app_home": Things(
                    {},
                    {
                        "home_tab_enabled": bool,
                        "messages_tab_enabled": bool,
                        "messages_tab_read_only_enabled": bool,
                    },
                ),
                "bot_user": Things({"display_name": Text(80)}, {"always_online": bool}),
                "shortcuts": Many(
                    Things(
                        {
                            "name": Text(24),
                            "type": Text(7, like="message|global"),
                            "callback_id": Text(255),
                            "description": Text(150),
                        },
                        {},
                    ),
                    10,
                    1,
                ),
                "slash_commands": Many(
                    Things(
                        {"command": Text(32, 2, "/.*"), "description": Text(2000)},
                        {"url": Text(3000, like="https://.*"), "usage_hint": Text(1000), "should_escape": bool},
                    ),
                    50,
                    1,
                ),
            },
        ),
        "oauth_config": Things({}, {"scopes": Things({}, {"bot": Many(Text(50), 255)})}),
        "settings": Things(
            {},
            {
                "event_subscriptions": Things({}, {"request_url": URL, "bot_events": Many(Text(50), 100)}),
                "interactivity": Things({"is_enabled": bool}, {"request_url": URL, "message_menu_options_url": URL}),
                "org_deploy_enabled": bool,
                "socket_mode_enabled": bool,
                "token_rotation_enabled": bool,
            },
        ),
    },
)


def faults(value: Any, wanted: Any, where: str = "") -> list[str]:
    """What Slack would not take."""
    match wanted:
        case Things(needed=needed, allowed=allowed):
            if not isinstance(value, dict):
                return [f"{where} is no object"]
            known = needed | allowed
            found = [f"{where}.{key} is missing" for key in needed.keys() - value.keys()]
            found += [f"{where}.{key} is not known to Slack" for key in value.keys() - known.keys()]
            for key in value.keys() & known.keys():
                found += faults(value[key], known[key], f"{where}.{key}")
            return found
        case Many(of=of, most=most, least=least):
            if not isinstance(value, list) or not least <= len(value) <= most:
                return [f"{where} should be a list of {least} to {most}"]
            found = [] if len(value) == len({json.dumps(one) for one in value}) else [f"{where} repeats itself"]
            return found + [fault for n, one in enumerate(value) for fault in faults(one, of, f"{where}[{n}]")]
        case Text(most=most, least=least, like=like):
            sound = isinstance(value, str) and least <= len(value) <= most and re.fullmatch(like, value)
            return [] if sound else [f"{where} is no such text: {value!r}"]
    return [] if type(value) is wanted else [f"{where} should be a {wanted.__name__}"]


def test_it_is_one_for_slack(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults(printed(capsys), SCHEMA) == []
    assert faults(printed(capsys, "--http", PUBLIC), SCHEMA) == []


def test_over_sockets_nothing_is_said_of_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys)
    assert found["settings"]["socket_mode_enabled"] is True
    assert "http" not in json.dumps(found)


@pytest.mark.parametrize("given", [PUBLIC, PUBLIC + "/", PUBLIC + "/slack/events", PUBLIC + "/slack/events/"])
def test_over_http_every_kind_of_request_comes_to_the_one_route(capsys: pytest.CaptureFixture[str], given: str) -> None:
    found = printed(capsys, "--http", given)
    assert found["settings"]["socket_mode_enabled"] is False
    addresses = [
        found["settings"]["event_subscriptions"]["request_url"],
        found["settings"]["interactivity"]["request_url"],
        found["settings"]["interactivity"]["message_menu_options_url"],
        found["features"]["slash_commands"][0]["url"],
    ]
    assert set(addresses) == {PUBLIC + "/slack/events"}


@pytest.mark.parametrize(
    "bad",
    [
        *("", " ", "tocsin.example.com", "http://tocsin.example.com", "ftp://x", "https://", "https:///slack"),
        *("https://a b", "https://a?x=1", "https://a#b", "https://u:p@a", "https://a:0", "https://a:99999"),
        *("https://a:x", "https://[", "https://a\nb", "https://" + "a" * 3000),
    ],
)
def test_an_address_that_slack_could_not_use_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    assert main(["manifest", "--http", bad]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert "--http" in err and "https://tocsin.example.com" in err


def test_in_http_mode_the_public_address_is_that_of_slacks_requests(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://tocsin.example.com/")
    assert printed(capsys)["settings"]["socket_mode_enabled"]
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "0" * 32)
    interactivity = printed(capsys)["settings"]["interactivity"]
    assert interactivity["request_url"] == "https://tocsin.example.com/slack/events"
    monkeypatch.setenv("PUBLIC_URL", "http://tocsin.example.com")
    assert main(["manifest"]) == 2
    assert capsys.readouterr().err.startswith("PUBLIC_URL: ")


def test_the_command_of_the_settings_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_COMMAND", "/outage")
    assert printed(capsys)["features"]["slash_commands"][0]["command"] == "/outage"


def test_a_workspace_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox() as slack:
        slack.install(printed(capsys))
        assert slack.platform.app.scopes == set(SCOPES)
        assert slack.platform.app.events == set(EVENTS)

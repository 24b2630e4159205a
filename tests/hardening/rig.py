"""The bot without a wire before it: requests go straight to the line, and whatever follows them happens at once.

That is a hundred times as fast as through sockets, which is what a hundred thousand cases need. What the bot calls is
the sandbox's Web API and the database a real one, as everywhere; only the acknowledgement, the response URLs and the
order of things in the background are the rig's. Everything that the bot says is checked as Slack would.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import structlog
from sqlalchemy import text

from bot.app import Bot
from bot.delivery.pace import Pace
from bot.slack.acknowledgement import payload_of
from bot.slack.clients import Clients, Installation
from sandbox import Sandbox
from sandbox.api.access import direct_with
from sandbox.block_kit import check_message, check_options, check_view, check_view_submission_response
from storage.engine import Store
from storage.models import Base
from tests.hardening.facts import facts
from tests.stories.conftest import COMMAND, apply_file

log = structlog.get_logger(__name__)

Json = dict[str, Any]
Kind = Literal["ephemeral", "channel", "modal", "home"]

HOME = "T0001"
ELSEWHERE = "T0002"  # another organization's workspace
# No person waits between two messages here, and none is to wait for the rig.
AT_ONCE = Pace(post_s=0.0, update_s=0.0, poll_s=0.05, first_retry_s=0.05)
BROKEN = "went wrong"
UNHANDLED = "no handler for an id that the bot rendered"


@dataclass(frozen=True)
class Somebody:
    """Who asks."""

    user_id: str
    workspace_id: str = HOME


@dataclass
class Shown:
    """Something with buttons in front of somebody."""

    kind: Kind
    body: Json  # a message or a view
    place: str = ""  # channel, or the id of the view
    ts: str = ""

    def elements(self) -> list[Json]:
        """What can be pressed or chosen, each with the `block_id` of its block."""
        return [element for element in _inside(self.body) if element.get("type") in _PRESSED]


_PRESSED = ("button", "static_select", "external_select", "overflow")


def _inside(value: object) -> Iterator[Json]:
    if isinstance(value, dict):
        if "action_id" in value:
            yield value
        for inner in value.values():
            yield from _inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inside(inner)


@dataclass
class Got:
    """What a request led to, for whoever made it."""

    status: int
    answer: Json | None
    posts: list[Json] = field(default_factory=list)  # over the response URL
    calls: list[tuple[str, Json]] = field(default_factory=list)  # Web API methods with their arguments

    @property
    def told(self) -> str:
        """Everything that reached them, as it was sent."""
        return json.dumps([self.answer, self.posts, self.calls], ensure_ascii=False)


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Rig:
    """A bot, a workspace of its own and another, and hands to use it with."""

    def __init__(self, slack: Sandbox, store: Store, folder: Path) -> None:
        self.slack, self.store, self.folder = slack, store, folder
        first = Clients.connect(slack.bot_token, slack.api_url).all()[0]
        # One sandbox is one workspace; to the bot, the second is an installation of its own.
        second = replace(first, workspace_id=ELSEWHERE, authorization=_authorized(first))
        self.bot = Bot(store, Clients([first, second]), api_url=slack.api_url, command=COMMAND, pace=AT_ONCE)
        background = self.bot.background
        background.submit = self._now  # type: ignore[method-assign]
        background.respond = self._respond  # type: ignore[method-assign]
        self.errors = _Errors()
        self.forges_ids = False  # of buttons, forms, menus and shortcuts: that they are unknown is then no defect
        logging.getLogger().addHandler(self.errors)
        self._numbers = itertools.count(1)
        self._posts: list[Json] = []
        self.forms: dict[str, Json] = {}  # as the bot opened them, by callback_id
        self.known = facts(store)  # of incidents, after the latest request

    def close(self) -> None:
        """Stops what runs."""
        logging.getLogger().removeHandler(self.errors)
        self.bot.stop()

    def clean(self) -> None:
        """As if nothing had ever been: an empty database, and nothing on the wire."""
        with self.store.write() as tx:
            # Without triggers: one refuses to delete the audit log.
            tx.execute(text("SET LOCAL session_replication_role = replica"))
            for table in reversed(Base.metadata.sorted_tables):
                tx.execute(text(f"DELETE FROM {table.name}"))  # noqa: S608
        self.slack.platform.deliveries.traffic.clear()

    def apply(self, organization: str) -> None:
        """Makes the database match an organization file, and removes what it does not name."""
        apply_file(self.store, self.folder, organization, prune=True)
        with self.store.write() as tx:
            # A form that does not say for which organization it was drawn is not refused for that alone.
            tx.execute(text("UPDATE workspace SET date_added = NULL"))

    def direct(self, who: Somebody) -> str:
        """The direct message between somebody and the bot."""
        return direct_with(self.slack.platform, who.user_id).id

    # --- asking --------------------------------------------------------------------------------------------

    def command(self, who: Somebody, words: str, channel: str = "C0001") -> Got:
        """A slash command."""
        return self._send(
            {
                "token": "t",
                "team_id": who.workspace_id,
                "team_domain": "acme",
                "channel_id": channel,
                "channel_name": "c",
                "user_id": who.user_id,
                "user_name": "u",
                "command": COMMAND,
                "text": words,
                "api_app_id": "A0001",
                "is_enterprise_install": "false",
                "response_url": self._url(),
                "trigger_id": self._trigger(who),
            },
            check_message,
        )

    def press(self, who: Somebody, shown: Shown, element: Mapping[str, Any], chosen: Mapping[str, Any]) -> Got:
        """A button pressed or an option chosen; `chosen` is what that adds to the action."""
        return self._send(self.pressed(who, shown, element, chosen))

    def pressed(self, who: Somebody, shown: Shown, element: Mapping[str, Any], chosen: Mapping[str, Any]) -> Json:
        """The payload of it."""
        action = {"type": "button", "block_id": "b", "action_ts": "1.1", **element, **chosen}
        payload: Json = {"type": "block_actions", **self._who(who), "actions": [action]}
        if shown.kind in ("modal", "home"):
            view = {"id": shown.place, "type": shown.kind, "state": {"values": {}}, **shown.body}
            return {**payload, "container": {"type": "view", "view_id": shown.place}, "view": view}
        container = {
            "type": "message",
            "message_ts": shown.ts,
            "channel_id": shown.place,
            "is_ephemeral": shown.kind == "ephemeral",
        }
        channel = {"id": shown.place, "name": "c"}
        return {**payload, "container": container, "channel": channel, "response_url": self._url()}

    def submit(self, who: Somebody, view: Mapping[str, Any], values: Mapping[str, Any], view_id: str = "") -> Got:
        """A form sent off, with the state of its elements by block_id."""
        return self._send(self.submitted(who, view, values, view_id))

    def submitted(self, who: Somebody, view: Mapping[str, Any], values: Mapping[str, Any], view_id: str = "") -> Json:
        """The payload of it."""
        state = {"values": {block: {block: value} for block, value in values.items()}}
        kept = {"id": view_id or self.view_id(who), "type": "modal", **view, "state": state}
        return {"type": "view_submission", **self._who(who), "view": kept, "response_urls": []}

    def replay(self, who: Somebody, payload: Mapping[str, Any]) -> Got:
        """Somebody else's request in their own name, as if its form were another one."""
        forged = {**json.loads(json.dumps(payload)), **self._who(who)}
        if payload.get("type") == "view_submission":
            forged["view"]["id"] = self.view_id(who)
        return self._send(forged)

    def shortcut(self, who: Somebody, callback_id: str, message: Mapping[str, Any] | None = None) -> Got:
        """A shortcut of everything, or of a message."""
        payload: Json = {"type": "shortcut", **self._who(who), "callback_id": callback_id, "action_ts": "1.1"}
        if message is not None:
            where = {"id": "C0001", "name": "c"}
            payload |= {"type": "message_action", "message": message, "message_ts": "1.1", "channel": where}
            payload["response_url"] = self._url()
        return self._send(payload)

    def suggest(self, who: Somebody, action_id: str, typed: str) -> Got:
        """Something typed into a menu."""
        payload = {"type": "block_suggestion", **self._who(who), "action_id": action_id, "block_id": "b"}
        return self._send({**payload, "value": typed, "container": {"type": "view", "view_id": "V1"}}, check_options)

    def event(self, who: Somebody, event: Mapping[str, Any]) -> Got:
        """Something that happened."""
        return self._send(
            {
                "token": "t",
                "team_id": who.workspace_id,
                "api_app_id": "A0001",
                "type": "event_callback",
                "event_id": f"Ev{next(self._numbers)}",
                "event_time": 1,
                "authorizations": [
                    {"team_id": who.workspace_id, "user_id": self.slack.bot_user_id, "is_bot": True},
                ],
                "event": {"user": who.user_id, "team": who.workspace_id, "event_ts": "1.1", **event},
            }
        )

    # --- what came of it -----------------------------------------------------------------------------------

    def _send(self, payload: Mapping[str, Any], check: Callable[..., Sequence[object]] | None = None) -> Got:
        self._posts = []
        begin = len(self.slack.platform.deliveries.traffic)
        response = self.bot.listeners.dispatch(payload)
        answer = payload_of(response)
        calls = [
            (one.name, one.sent)
            for one in itertools.islice(self.slack.platform.deliveries.traffic, begin, None)
            if one.kind == "web_api"
        ]
        got = Got(response.status, dict(answer) if answer else None, self._posts, calls)
        self._check(payload, got, check)
        return got

    def _check(self, payload: Mapping[str, Any], got: Got, check: Callable[..., Sequence[object]] | None) -> None:
        assert got.status in (200, 503), got.status  # an event that cannot be taken now may come again
        errors = [line for line in self.errors.lines if not (self.forges_ids and UNHANDLED in line)]
        self.errors.lines = []
        assert not errors, errors
        assert BROKEN not in got.told, got.told
        if payload.get("type") == "view_submission":
            assert check_view_submission_response(got.answer or {}, payload["view"]) == []
        elif check is not None and got.answer:
            assert check(got.answer) == [], got.answer
            assert check is not check_message or str(got.answer.get("text", "")).strip()
        for post in got.posts:
            assert check_message(post) == [], post
            assert str(post.get("text", "")).strip()
        for name, sent in got.calls:
            if name.startswith("views."):
                view = sent["view"]
                assert check_view(view if isinstance(view, dict) else json.loads(view)) == [], view
        # A trigger of the rig's opens nothing in the sandbox, and nobody there has these forms in front of them.
        self.slack.problems.take("invalid_trigger_id")
        assert not list(self.slack.problems), list(self.slack.problems)

    def _now(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            log.exception("background work failed")

    def _respond(self, url: str, body: Mapping[str, Any]) -> None:
        del url
        self._posts.append(dict(body))

    def _who(self, who: Somebody) -> Json:
        return {
            "team": {"id": who.workspace_id, "domain": "acme"},
            "user": {"id": who.user_id, "username": "u", "name": "u", "team_id": who.workspace_id},
            "api_app_id": "A0001",
            "token": "t",
            "trigger_id": self._trigger(who),
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _trigger(self, who: Somebody) -> str:
        return f"{who.user_id}.{next(self._numbers)}"

    def view_id(self, who: Somebody) -> str:
        """The id of a new form in front of somebody."""
        return f"V{next(self._numbers)}-{who.user_id}"

    def _url(self) -> str:
        return f"{self.slack.api_url.removesuffix('api/')}response/{next(self._numbers)}"


def _authorized(first: Installation) -> Any:
    return type(first.authorization)(
        **{
            key: first.authorization.get(key)
            for key in ("enterprise_id", "team", "url", "bot_user_id", "bot_id", "bot_token")
        },
        team_id=ELSEWHERE,
    )

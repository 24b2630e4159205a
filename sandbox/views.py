"""Forms and Home tabs: their ids, hashes and stacks of three, the values a person has entered, and the
operations of the app (open, push, update, publish).
"""

import copy
import hashlib
import secrets
from dataclasses import dataclass, field

from sandbox.blocks import State, completed, initial_state
from sandbox.errors import SlackError
from sandbox.records import Json, User
from sandbox.workspace import Workspace

STACK_LIMIT = 3


@dataclass(slots=True, eq=False)
class View:
    """One form or Home tab of one person."""

    id: str
    user: User
    definition: Json  # as sent by the app, with Slack's defaults
    hash: str
    root_id: str
    previous_id: str | None
    team_id: str
    values: State = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)  # by block id, as shown after a submission
    open: bool = True
    updates: int = 0

    @property
    def blocks(self) -> list[Json]:
        blocks: list[Json] = self.definition["blocks"]
        return blocks

    @property
    def external_id(self) -> str:
        return str(self.definition.get("external_id") or "")


class Views:
    """Every view of the workspace. Everything here is called with the workspace's lock held, or takes it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._by_id: dict[str, View] = {}
        self.stacks: dict[str, list[View]] = {}
        self.homes: dict[str, View] = {}

    def render(self, view: View) -> Json:
        """The `view` object of payloads and of the Web API's answers."""
        given = view.definition
        app = self._workspace.app
        return {
            "id": view.id,
            "team_id": view.team_id,
            "type": given["type"],
            "blocks": given["blocks"],
            "private_metadata": given.get("private_metadata") or "",
            "callback_id": given.get("callback_id") or "",
            "state": {"values": copy.deepcopy(view.values)},
            "hash": view.hash,
            "title": given.get("title") or {"type": "plain_text", "text": "View Title", "emoji": True},
            "clear_on_close": bool(given.get("clear_on_close")),
            "notify_on_close": bool(given.get("notify_on_close")),
            "close": given.get("close"),
            "submit": given.get("submit"),
            "previous_view_id": view.previous_id,
            "root_view_id": view.root_id,
            "app_id": app.app_id,
            "external_id": view.external_id,
            "app_installed_team_id": self._workspace.installed_as(),
            "bot_id": app.bot_id,
        }

    def __contains__(self, view_id: object) -> bool:
        return view_id in self._by_id

    def find(self, view_id: str | None, external_id: str | None) -> View:
        """The view; raises SlackError `not_found`, also for a form that was closed."""
        found = self._by_id.get(view_id) if view_id else self._by_external_id(external_id)
        if found is None or not found.open:
            raise SlackError("not_found")
        return found

    def _by_external_id(self, external_id: str | None) -> View | None:
        return next((v for v in self._by_id.values() if v.open and external_id and v.external_id == external_id), None)

    def open(self, user: User, definition: Json) -> View:
        """Show a form to `user`, in place of any form they had open. Raises `duplicate_external_id`."""
        with self._workspace.changing():
            self._refuse_duplicate(definition, None)
            self.drop(user.id)
            view = self._new(user, definition, root=None, previous=None)
            self.stacks[user.id] = [view]
            self._workspace.looks_new(user)
            return view

    def push(self, user: User, definition: Json) -> View:
        """Show a form on top of the open one. Raises `not_found`, `push_limit_reached`,
        `duplicate_external_id`.
        """
        with self._workspace.changing():
            stack = self.stacks.get(user.id) or []
            if not stack:
                raise SlackError("not_found")
            if len(stack) >= STACK_LIMIT:
                raise SlackError("push_limit_reached")
            self._refuse_duplicate(definition, None)
            view = self._new(user, definition, root=stack[0], previous=stack[-1])
            stack.append(view)
            self._workspace.looks_new(user)
            return view

    def update(self, view: View, definition: Json, given_hash: str | None = None) -> View:
        """Replace the content of a view; elements that stay keep their values. Raises
        `hash_conflict`.
        """
        with self._workspace.changing():
            if given_hash and given_hash != view.hash:
                raise SlackError("hash_conflict")
            self._refuse_duplicate(definition, view)
            view.definition = {**definition, "blocks": completed(definition["blocks"])}
            view.values = initial_state(view.blocks, view.values)
            view.errors = {}
            view.hash = self._hash()
            view.updates += 1
            self._workspace.looks_new(view.user)
            return view

    def publish(self, user: User, definition: Json, given_hash: str | None = None) -> View:
        """Set a person's Home. Raises `hash_conflict`."""
        with self._workspace.changing():
            home = self.homes.get(user.id)
            if home is None:
                home = self.homes[user.id] = self._new(user, definition, root=None, previous=None)
                self._workspace.looks_new(user)
                return home
            if given_hash and given_hash != home.hash:
                raise SlackError("hash_conflict")
            home.values = {}
            return self.update(home, definition)

    def pop(self, view: View) -> None:
        """Close the topmost form and show the one below it."""
        with self._workspace.changing():
            stack = self.stacks.get(view.user.id, [])
            while stack and view in stack:
                self._forget(stack.pop())
            self._workspace.looks_new(view.user)

    def drop(self, user_id: str) -> list[View]:
        """Close a person's whole stack of forms; returns the closed ones, topmost first."""
        with self._workspace.changing():
            stack = self.stacks.pop(user_id, [])
            for view in stack:
                self._forget(view)
            if stack:
                self._workspace.looks_new(stack[0].user)
            return stack[::-1]

    def _forget(self, view: View) -> None:
        view.open = False
        self._by_id.pop(view.id, None)

    def _new(self, user: User, definition: Json, *, root: View | None, previous: View | None) -> View:
        view_id = "V" + secrets.token_hex(5).upper()
        view = View(
            id=view_id,
            user=user,
            definition={**definition, "blocks": completed(definition["blocks"])},
            hash=self._hash(),
            root_id=root.id if root else view_id,
            previous_id=previous.id if previous else None,
            team_id=user.team_id,
        )
        view.values = initial_state(view.blocks)
        self._by_id[view_id] = view
        return view

    def _refuse_duplicate(self, definition: Json, itself: View | None) -> None:
        external_id = definition.get("external_id")
        if external_id and self._by_external_id(external_id) not in (None, itself):
            raise SlackError("duplicate_external_id")

    def _hash(self) -> str:
        seed = secrets.token_bytes(8)
        return f"{int(self._workspace.clock.now())}.{hashlib.sha1(seed, usedforsecurity=False).hexdigest()[:8]}"

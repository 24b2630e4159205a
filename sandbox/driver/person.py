"""A person in the workspace: what they can do, and what they see."""

import copy
from dataclasses import dataclass

from sandbox import events, payload_checks, payloads
from sandbox.blocks import STATEFUL
from sandbox.driver.acting import Acknowledged, acknowledged, act, option_called, send, suggestions
from sandbox.driver.form import Form, HasId
from sandbox.driver.forwarding import forwarded
from sandbox.driver.surface import WAIT_SECONDS, Home, SeenMessage, Surface, wait_until
from sandbox.errors import NotThere, SandboxError, SlackError
from sandbox.interactions import answer as post_answer
from sandbox.platform import Platform
from sandbox.records import Channel, Json, User
from sandbox.text import command_text, message_text, rich_message

Where = Channel | str


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a person's command."""

    message: SeenMessage | None  # sent with the acknowledgement; None if there was none
    acknowledged: Acknowledged

    @property
    def text(self) -> str:
        """The text they read; empty when the acknowledgement had no message."""
        return self.message.text if self.message else ""

    @property
    def buttons(self) -> list[str]:
        return self.message.buttons if self.message else []


class Person(HasId):
    """A person who uses Slack. Their actions wait for the app's acknowledgement where Slack would."""

    def __init__(self, platform: Platform, user: User) -> None:
        self._platform = platform
        self.user = user
        self.id = user.id

    def __repr__(self) -> str:
        return f"<{self.user.real_name} ({self.id})>"

    @property
    def name(self) -> str:
        return self.user.real_name

    @property
    def handle(self) -> str:
        """Their name without blanks, as it is typed after an @."""
        return self.user.name

    @property
    def at(self) -> str:
        """What someone types to mention them: `@ada`."""
        return f"@{self.user.name}"

    @property
    def mention(self) -> str:
        """Their mention as Slack encodes it."""
        return f"<@{self.id}>"

    def rich_text_element(self) -> Json:
        return {"type": "user", "user_id": self.id}

    # -- commands and shortcuts

    def command(self, name: str, text: str = "", *, channel: Where | None = None, resolve: bool = True) -> Answer:
        """Type a slash command (in the direct messages with the app where no channel is given).

        `resolve=False`: no person was picked from the menu, so `@name` stays as typed. Raises
        NotAcknowledged.
        """
        place = self._place(channel) if channel is not None else self._direct()
        with self._platform.workspace.lock:
            encoded = command_text(text, self._platform.workspace, resolve=resolve)
            payload = payloads.command(self._platform, self.user, place, name, encoded)
        done = send(self._platform, "slash_commands", name, payload, accepts_response=True)
        return Answer(self._answered(place, done.answer), done)

    def _answered(self, place: Channel, given: Json) -> SeenMessage | None:
        if not given:
            return None
        in_channel = given.get("response_type") == "in_channel"
        try:
            payload_checks.require_message(given, ephemeral=not in_channel)
            with self._platform.workspace.changing():
                message = post_answer(self._platform.workspace, self.user, place, given)
                return SeenMessage(self._platform, message, self.user)
        except SlackError as refusal:
            details = "; ".join(refusal.messages)
            self._platform.problem(refusal.error, f"the answer to a command. {details}".rstrip())
            return None

    def shortcut(self, callback_id: str) -> Acknowledged:
        """Use a global shortcut."""
        payload = payloads.shortcut(self._platform, self.user, callback_id)
        return send(self._platform, "interactive", "shortcut", payload)

    def message_shortcut(self, message: SeenMessage, callback_id: str) -> Acknowledged:
        """Use a shortcut from a message's menu."""
        if message.ephemeral:
            raise NotThere("a message that only one person sees has no shortcuts")
        with self._platform.workspace.lock:
            payload = payloads.message_action(self._platform, self.user, message.record, callback_id)
        return send(self._platform, "interactive", "message_action", payload)

    # -- using what is in front of them

    def press(
        self, surface: Surface | None, label: str, *, row: int | None = None, containing: str | None = None
    ) -> Acknowledged:
        """Press a button or choose an entry of an overflow menu, by its label; `row` or `containing` pick one of
        several with the same label.

        If the app asks for a confirmation, the person confirms. Raises NotThere and NotAcknowledged.
        """
        if surface is None:
            raise NotThere(f"there is nothing to press {label!r} on")
        control = surface.pressable(label, row=row, containing=containing)
        value: Json = {}
        if control.type == "overflow":
            value = {"selected_option": option_called(self._platform, self.user, surface, control, label)}
        return act(self._platform, self.user, surface, control, value)

    def choose(
        self,
        surface: Surface,
        label: str,
        choice: "str | HasId | Channel",
        *,
        row: int | None = None,
        containing: str | None = None,
    ) -> Acknowledged:
        """Choose from a select, radio group or overflow menu of a message or Home (of a form: see
        `Form.choose`).

        An overflow menu is found by the text beside it. Raises NotThere and NotAcknowledged.
        """
        control = surface.control(label, row=row, containing=containing, kinds=[*STATEFUL, "overflow"])
        key = "selected_option" if control.type == "overflow" else STATEFUL[control.type][0]
        if key in ("selected_option", "selected_options"):
            chosen: Json | str = option_called(self._platform, self.user, surface, control, str(choice))
        else:
            chosen = choice if isinstance(choice, str) else choice.id
        several = control.type == "checkboxes" or control.type.startswith("multi_")
        return act(self._platform, self.user, surface, control, {key: [chosen] if several else chosen})

    def options(self, surface: Surface, label: str, typed: str = "") -> list[str]:
        """The options that an external select offers for the typed text."""
        control = surface.control(label, kinds=["external_select", "multi_external_select"])
        return [str(o["text"]["text"]) for o in suggestions(self._platform, self.user, surface, control, typed)]

    # -- forms and Home

    @property
    def form(self) -> Form | None:
        """The form they have open, the topmost of its stack."""
        with self._platform.workspace.lock:
            stack = self._platform.views.stacks.get(self.id)
            return Form(self._platform, stack[-1]) if stack else None

    def wait_for_form(self, title: str | None = None, timeout: float = WAIT_SECONDS) -> Form:
        """The topmost form, once there is one (with this title)."""

        def there() -> bool:
            form = self.form
            return form is not None and title in (None, form.title)

        wait_until(self._platform, there, timeout, lambda: f"{self!r} sees {self.form!r}, not the form {title!r}")
        form = self.form
        assert form is not None
        return form

    def close(self, form: Form, *, everything: bool = False) -> None:
        """Cancel a form (with `everything`, the whole stack)."""
        form.close(everything=everything)

    def opens_home(self, tab: str = "home") -> Home | None:
        """Open the app's Home (or its messages), and return what they see there at first."""
        workspace = self._platform.workspace
        with workspace.changing():
            view = self._platform.views.homes.get(self.id) if tab == "home" else None
            shown = self._platform.views.render(view) if view else None
            direct = workspace.direct(self.id)
            workspace.announce(events.app_home_opened(self.user, direct, tab, shown, workspace.next_ts()))
        return self.home()

    def home(self) -> Home | None:
        """Their Home as the app last published it."""
        view = self._platform.views.homes.get(self.id)
        return Home(self._platform, view) if view else None

    def wait_for_home(self, containing: str = "", timeout: float = WAIT_SECONDS) -> Home:
        """Their Home, once it shows a text."""

        def there() -> bool:
            home = self.home()
            return home is not None and containing in home.text

        wait_until(self._platform, there, timeout, lambda: f"{self.home()!r} without {containing!r}")
        home = self.home()
        assert home is not None
        return home

    # -- talking

    def say(
        self,
        channel: Where,
        text: str,
        *,
        thread: SeenMessage | None = None,
        broadcast: bool = False,
        resolve: bool = True,
        rich: Json | None = None,
    ) -> SeenMessage:
        """Post a message, in a thread where one is given. `rich`, a rich_text block, stands in place of `text`."""
        place = self._place(channel)
        workspace = self._platform.workspace
        if place.archived:
            raise SandboxError(f"#{place.name} is archived")
        with workspace.changing():
            encoded, blocks = rich_message(rich, workspace) if rich else message_text(text, workspace, resolve=resolve)
            message = workspace.post(
                place,
                self.user,
                {"text": encoded, "blocks": blocks},
                thread_ts=thread.ts if thread else None,
                broadcast=broadcast,
                mentions_app=f"<@{workspace.app.bot_user_id}>" in encoded and not place.is_im,
            )
        return SeenMessage(self._platform, message, self.user)

    def reply(self, message: SeenMessage, text: str, *, broadcast: bool = False, resolve: bool = True) -> SeenMessage:
        """Answer in a message's thread; `broadcast` shows it in the channel too."""
        return self.say(message.channel_id, text, thread=message, broadcast=broadcast, resolve=resolve)

    def mention_bot(self, channel: Where, text: str, *, thread: SeenMessage | None = None) -> SeenMessage:
        """Mention the app in a channel or thread: `@App text`."""
        return self.say(channel, f"<@{self._platform.app.bot_user_id}> {text}", thread=thread)

    def tell_bot(self, text: str) -> SeenMessage:
        """Write to the app in direct messages."""
        return self.say(self._direct(), text)

    def me(self, channel: Where, text: str, *, thread: SeenMessage | None = None) -> SeenMessage:
        """Post a `/me` message."""
        body: Json = {"subtype": "me_message", "text": text}
        place, thread_ts = self._place(channel), thread.ts if thread else None
        message = self._platform.workspace.post(place, self.user, body, thread_ts=thread_ts)
        return SeenMessage(self._platform, message, self.user)

    def forward(self, message: SeenMessage, into: Where, *, thread: SeenMessage | None = None, text: str = "") -> None:
        """Forward a message to a channel or into a thread, with or without a text of their own."""
        place, workspace = self._place(into), self._platform.workspace
        with workspace.changing():
            encoded, blocks = message_text(text, workspace)
            body: Json = {"text": encoded, "attachments": [forwarded(self._platform, message.record)]}
            if text:
                body["blocks"] = blocks
            workspace.post(place, self.user, body, thread_ts=thread.ts if thread else None)

    def edit(self, message: SeenMessage, text: str, *, rich: Json | None = None) -> None:
        """Edit one of their own messages. `rich`, a rich_text block, stands in place of `text`."""
        self._own(message)
        workspace = self._platform.workspace
        with workspace.changing():
            encoded, blocks = rich_message(rich, workspace) if rich else message_text(text, workspace)
            workspace.edit(message.record, {"text": encoded, "blocks": blocks}, editor=self.user)

    def delete(self, message: SeenMessage) -> None:
        """Delete one of their own messages."""
        self._own(message)
        self._platform.workspace.delete(message.record)

    def _own(self, message: SeenMessage) -> None:
        if message.author_id != self.id:
            raise SandboxError(f"{self!r} did not write {message!r}")

    def react(self, message: SeenMessage, name: str) -> None:
        """Add a reaction."""
        self._platform.workspace.react(message.record, name.strip(":"), self.user)

    def unreact(self, message: SeenMessage, name: str) -> None:
        """Remove a reaction."""
        self._platform.workspace.unreact(message.record, name.strip(":"), self.user)

    def upload(
        self, channel: Where, name: str, content: bytes, text: str = "", *, thread: SeenMessage | None = None
    ) -> SeenMessage:
        """Post a file."""
        place = self._place(channel)
        workspace, files = self._platform.workspace, self._platform.files
        with workspace.changing():
            file, _ = files.ticket(name, self.user)
            files.receive(file.ticket, content)
            files.complete(file.id, None)
            encoded, blocks = message_text(text, workspace)
            body: Json = {"text": encoded, "files": [files.render(file)], "upload": False, "display_as_bot": False}
            if text:
                body["blocks"] = blocks
            body["subtype"] = "file_share"
            message = workspace.post(place, self.user, body, thread_ts=thread.ts if thread else None)
            files.share([file], place, message.ts)
            workspace.announce(events.file_shared(place, file.id, self.id, workspace.next_ts()), place)
        return SeenMessage(self._platform, message, self.user)

    def joins(self, channel: Channel, invited_by: "Person | None" = None) -> None:
        """Join a channel."""
        self._platform.workspace.join(channel, self.user, invited_by.id if invited_by else None)

    def leaves(self, channel: Channel) -> None:
        """Leave a channel."""
        self._platform.workspace.leave(channel, self.user)

    # -- seeing

    def sees(self, channel: Where) -> list[SeenMessage]:
        """The messages they see in a channel, oldest first: its timeline, and their ephemeral messages."""
        place = self._place(channel)
        return [SeenMessage(self._platform, m, self.user) for m in self._platform.workspace.visible(place, self.id)]

    def direct_messages(self) -> list[SeenMessage]:
        """Their conversation with the app, oldest first."""
        return self.sees(self._direct())

    def wait_for_message(
        self,
        channel: Where | None = None,
        containing: str = "",
        *,
        after: SeenMessage | None = None,
        timeout: float = WAIT_SECONDS,
    ) -> SeenMessage:
        """The newest message they see (in direct messages, where no channel is given) that contains a text."""
        place = self._place(channel) if channel is not None else self._direct()
        found: list[SeenMessage] = []

        def there() -> bool:
            seen = [m for m in self.sees(place) if after is None or m.ts > after.ts]
            found[:] = [m for m in seen if containing in m.text]
            return bool(found)

        wait_until(
            self._platform,
            there,
            timeout,
            lambda: f"{self!r} sees {self.sees(place)!r}, nothing with {containing!r}",
        )
        return found[-1]

    # -- hostile

    def replay(self, payload: Json) -> Acknowledged:
        """Send any payload in this person's name, with a new trigger and response URL.

        Everything else in it stays as it is: forged ids, stale values, another team's channel.
        """
        forged = copy.deepcopy(payload)
        triggers, urls = self._platform.triggers, self._platform.response_urls
        channel_id = str(forged.get("channel_id") or (forged.get("channel") or {}).get("id"))
        channel = self._platform.workspace.channels.get(channel_id) or self._direct()
        if "trigger_id" in forged:
            forged["trigger_id"] = triggers.issue(self.id)
        if "response_url" in forged:
            kind = "commands" if "command" in forged else "actions"
            forged["response_url"] = urls.issue(kind, self.user, channel)
        if "command" in forged:
            forged |= {"user_id": self.id, "user_name": self.user.name}
            return send(self._platform, "slash_commands", str(forged["command"]), forged, accepts_response=True)
        if forged.get("type") == "event_callback":
            forged["event"]["user"] = self.id
            forged["event_id"] += "F"
            event = str(forged["event"].get("type"))
            return acknowledged(self._platform, self._platform.deliveries.send("events_api", event, forged))
        forged["user"] = {**forged.get("user", {}), "id": self.id, "team_id": self.user.team_id}
        for name in ("username", "name"):
            if name in forged["user"]:
                forged["user"][name] = self.user.name
        accepts = forged.get("type") in ("view_submission", "block_suggestion")
        return send(self._platform, "interactive", str(forged.get("type")), forged, accepts_response=accepts)

    # -- where they are

    def _direct(self) -> Channel:
        return self._platform.workspace.direct(self.id)

    def _place(self, where: Where) -> Channel:
        channel = where if isinstance(where, Channel) else self._platform.workspace.channel(where)
        if self.id not in channel.members:
            raise SandboxError(f"{self!r} is not in #{channel.name or channel.id}")
        return channel

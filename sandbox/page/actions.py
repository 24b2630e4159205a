"""What a person can do on the page, each as one act with checked arguments. How it happens is the driver's
business; here the page's ids are turned into the things that the driver knows.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox import block_kit
from sandbox.blocks import STATEFUL, Control, controls, options_of
from sandbox.driver.acting import act, suggestions
from sandbox.driver.form import Form
from sandbox.driver.person import Person
from sandbox.driver.surface import Home, SeenMessage
from sandbox.errors import NotThere, SandboxError
from sandbox.page import inspector, page_values
from sandbox.platform import Platform
from sandbox.records import Channel, Json, Message, User
from sandbox.views import View

PAGE_SIZE = 50
PAGE_LIMIT = 200
TEXT_LIMIT = 40_000  # characters of anything typed
CLOCK_LIMIT = 31 * 24 * 3600  # seconds by which one press moves the clock

_TEXTS = ("plain_text_input", "number_input", "email_text_input", "url_text_input")
_IDS = ("users", "conversations", "channels")


class Actions:
    """The actions of one person in one window."""

    def __init__(self, platform: Platform, user: User) -> None:
        self._platform = platform
        self._workspace = platform.workspace
        self._user = user
        self._person = Person(platform, user)
        # What external selects offered last, by the place of the select: it is chosen from that.
        self._offered: dict[tuple[str, str, str], list[Json]] = {}
        self._actions: dict[str, Callable[[Json], Json | None]] = {
            "open": self._open,
            "thread": self._thread,
            "read": self._read,
            "say": self._say,
            "command": self._command,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "join": self._join,
            "shortcut": self._shortcut,
            "message_shortcut": self._message_shortcut,
            "home": self._home,
            "use": self._use,
            "options": self._options,
            "fill": self._fill,
            "submit": self._submit,
            "close": self._close,
            "inspect": self._inspect,
            "fault": self._fault,
            "clock": self._clock,
            "guide": self._guide,
        }

    def perform(self, asked: Json) -> Json:
        """Do what a window asks for, and give its answer.

        Raises SandboxError, SlackError and ValueError, each with what to tell the person.
        """
        name = asked.get("do")
        wanted = self._actions.get(name) if isinstance(name, str) else None
        if wanted is None:
            raise ValueError(f"There is no act {str(name)[:50]!r}.")
        return wanted(asked) or {}

    # -- reading

    def _channel(self, asked: Json) -> Channel:
        channel = self._workspace.channel(_text(asked, "channel"))
        if self._user.id not in channel.members:
            raise SandboxError(f"{self._user.real_name} is not in that conversation.")
        return channel

    def _message(self, asked: Json) -> Message:
        channel, ts = self._channel(asked), _text(asked, "ts")
        alone = self._workspace.ephemerals.get(self._user.id, [])
        found = channel.messages.get(ts) or next((m for m in alone if m.ts == ts), None)
        if found is None or found.deleted:
            raise NotThere("That message is not there any more.")
        return found

    def _seen(self, asked: Json) -> SeenMessage:
        return SeenMessage(self._platform, self._message(asked), self._user)

    def _open(self, asked: Json) -> Json:
        """The newest messages of a conversation, or those before `before`."""
        with self._workspace.lock:
            channel = self._channel(asked)
            size = _number(asked, "size", PAGE_SIZE, 1, PAGE_LIMIT)
            timeline = self._workspace.visible(channel, self._user.id)
            timeline = [m for m in timeline if m.ephemeral_to is None or m.thread_ts is None]
            end = len(timeline)
            if asked.get("before") is not None:
                before = _text(asked, "before")
                end = next((i for i, m in enumerate(timeline) if m.ts == before), 0)
            part = timeline[max(0, end - size) : end]
            return {"messages": [page_values.message(m) for m in part], "more": end > size}

    def _thread(self, asked: Json) -> Json:
        """A thread: its root and every reply."""
        with self._workspace.lock:
            root = self._message(asked)
            alone = [m for m in self._workspace.ephemerals[self._user.id] if m.thread_ts == root.ts]
            replies = page_values.in_front_of(self._user.id, [*root.replies, *alone])
            return {"root": page_values.message(root), "replies": [page_values.message(m) for m in replies]}

    def _read(self, asked: Json) -> Json:
        with self._workspace.lock:
            channel = self._channel(asked)
            self._platform.unread.read(self._user, channel, _text(asked, "ts"))
            return {"unread": self._platform.unread.of(self._user, channel)}

    # -- talking

    def _say(self, asked: Json) -> None:
        channel, text = self._channel(asked), _text(asked, "text", TEXT_LIMIT)
        if not text.strip():
            raise ValueError("There is nothing to send.")
        self._person.say(
            channel,
            text,
            thread=self._root(asked),
            broadcast=asked.get("broadcast") is True,
            rich=_rich_text(asked["rich"]) if asked.get("rich") else None,
        )

    def _root(self, asked: Json) -> SeenMessage | None:
        if asked.get("thread") is None:
            return None
        return self._seen({"channel": asked.get("channel"), "ts": asked.get("thread")})

    def _command(self, asked: Json) -> Json:
        name, text = _text(asked, "name"), _text(asked, "text", TEXT_LIMIT)
        known = [command["name"] for command in self._platform.menu.commands]
        if known and name not in known:
            raise ValueError(f"{name[:100]} is not a command here; there is {', '.join(known)}.")
        return _took(self._person.command(name, text, channel=self._channel(asked)).acknowledged.seconds)

    def _edit(self, asked: Json) -> None:
        rich = _rich_text(asked["rich"]) if asked.get("rich") else None
        self._person.edit(self._seen(asked), _text(asked, "text", TEXT_LIMIT), rich=rich)

    def _delete(self, asked: Json) -> None:
        message = self._seen(asked)
        if message.ephemeral:
            self._workspace.delete(message.record)
        else:
            self._person.delete(message)

    def _react(self, asked: Json) -> None:
        message, name = self._seen(asked), _text(asked, "name", 100)
        if message.ephemeral:
            raise NotThere("A message that only one person sees takes no reactions.")
        if self._user.id in message.reactions.get(name, ()):
            self._person.unreact(message, name)
        else:
            self._person.react(message, name)

    def _join(self, asked: Json) -> None:
        """Bring the app into a channel, as `/invite` does."""
        self._workspace.join(self._channel(asked), self._workspace.users[self._platform.app.bot_user_id], self._user.id)

    # -- shortcuts, Home

    def _shortcut(self, asked: Json) -> Json:
        return _took(self._person.shortcut(_text(asked, "callback_id")).seconds)

    def _message_shortcut(self, asked: Json) -> Json:
        return _took(self._person.message_shortcut(self._seen(asked), _text(asked, "callback_id")).seconds)

    def _home(self, _: Json) -> None:
        self._person.opens_home()

    # -- using what is in front of them

    def _surface(self, asked: Json) -> SeenMessage | Form | Home:
        if "view" not in asked:
            return self._seen(asked)
        view = self._view(asked)
        if view.definition["type"] == "home":
            return Home(self._platform, view)
        return Form(self._platform, view)

    def _view(self, asked: Json) -> View:
        view_id = _text(asked, "view")
        mine = [*self._platform.views.stacks.get(self._user.id, [])]
        if home := self._platform.views.homes.get(self._user.id):
            mine.append(home)
        found = next((view for view in mine if view.id == view_id), None)
        if found is None:
            raise NotThere("That form is not open any more.")
        return found

    def _control(self, surface: SeenMessage | Form | Home, asked: Json) -> Control:
        block, action = _text(asked, "block"), _text(asked, "action")
        found = [control for control in controls(surface.blocks) if control.action_id == action]
        # It may have been pressed just before it was drawn anew, in a block with another id.
        for control in found:
            if control.block_id == block or len(found) == 1:
                return control
        raise NotThere("What was used is not there any more.")

    def _use(self, asked: Json) -> Json:
        surface = self._surface(asked)
        control = self._control(surface, asked)
        return _took(act(self._platform, self._user, surface, control, self._value(control, asked)).seconds)

    def _options(self, asked: Json) -> Json:
        surface = self._surface(asked)
        control = self._control(surface, asked)
        if "external" not in control.type:
            raise NotThere("That menu knows its options itself.")
        found = suggestions(self._platform, self._user, surface, control, _text(asked, "typed", 1000))
        offered = self._offered.setdefault(_place(asked), [])
        offered += [option for option in found if option not in offered]
        return {"options": found}

    def _fill(self, asked: Json) -> Json:
        """Put something into a form's field; where the app wants to hear of it at once, it does."""
        surface = self._surface(asked)
        control = self._control(surface, asked)
        if not isinstance(surface, Form | Home):
            raise NotThere("There is nothing to fill in there.")
        value = self._value(control, asked)
        with self._workspace.changing():
            state = surface.view.values.setdefault(control.block_id, {})
            state[control.action_id] = {"type": control.type, **value}
            surface.view.errors.pop(control.block_id, None)
        if asked.get("dispatch") is True and (not control.is_input or control.block.get("dispatch_action")):
            return _took(act(self._platform, self._user, surface, control, value).seconds)
        return {}

    def _value(self, control: Control, asked: Json) -> Json:
        """What an element holds after a choice, as Slack writes it; raises ValueError and NotThere."""
        given, kind = asked.get("value"), control.type
        if kind in ("button", "workflow_button"):
            return {}
        key, _, empty = ("selected_option", "", None) if kind == "overflow" else STATEFUL[kind]
        if kind in _TEXTS:
            return {key: _text(asked, "value", TEXT_LIMIT) or None}
        if kind == "rich_text_input":
            return {} if given is None else {key: _rich_text(given)}
        if kind == "file_input":
            return {key: [self._file(one) for one in _list(given)]}
        if kind == "datetimepicker":
            return {key: None if given is None else _number(asked, "value", 0, 0, 2**33)}
        if kind in ("datepicker", "timepicker"):
            return {key: None if given is None else _moment(kind, _text(asked, "value", 20))}
        choose = self._chooser(control, asked)
        if empty is None:
            return {key: None if given is None else choose(given)}
        return {key: [choose(one) for one in _list(given)]}

    def _chooser(self, control: Control, asked: Json) -> Callable[[Any], Any]:
        """What turns one choice in a menu into what Slack keeps of it: an id, or a whole option."""
        if any(control.type.removeprefix("multi_").startswith(ids) for ids in _IDS):
            return lambda given: self._known(str(given))
        element = control.element
        options = [*options_of(element), *self._offered.get(_place(asked), []), *element.get("initial_options", [])]
        if "initial_option" in element:
            options.append(element["initial_option"])
        return lambda given: _option(options, given)

    def _known(self, identifier: str) -> str:
        if identifier not in self._workspace.users and identifier not in self._workspace.channels:
            raise NotThere("There is nobody and nothing of that id.")
        return identifier

    def _file(self, file_id: object) -> Json:
        with self._workspace.lock:
            return self._platform.files.render(self._platform.files.find(str(file_id)))

    # -- forms

    def _submit(self, asked: Json) -> Json:
        form = self._surface(asked)
        if not isinstance(form, Form):
            raise NotThere("A Home has nothing to submit.")
        outcome = form.submit()
        with self._workspace.changing():
            labels = {control.label: control.block_id for control in controls(form.view.blocks)}
            errors = {labels.get(label, label): words for label, words in outcome.errors.items()}
            trouble = errors.pop("", "")
            form.view.errors = errors
            self._workspace.looks_new(self._user)
        return {"trouble": trouble, "errors": errors}

    def _close(self, asked: Json) -> None:
        form = self._surface(asked)
        if not isinstance(form, Form):
            raise NotThere("A Home cannot be closed.")
        form.close(everything=asked.get("everything") is True)

    # -- behind the scenes

    def _inspect(self, asked: Json) -> Json:
        if "view" in asked:
            return inspector.of_view(self._platform, self._view(asked))
        return inspector.of_message(self._platform, self._message(asked))

    def _fault(self, asked: Json) -> None:
        faults, kind = self._platform.faults, _text(asked, "kind")
        methods = _text(asked, "methods", 100) if asked.get("methods") else "*"
        times = _number(asked, "times", 1, 1, 1000)
        match kind:
            case "rate_limit":
                faults.rate_limit(methods, retry_after=_number(asked, "retry_after", 3, 1, 600), times=times)
            case "fail":
                faults.fail(methods, status=_number(asked, "status", 503, 500, 599), times=times)
            case "slow":
                faults.slow(methods, float(_number(asked, "seconds", 2, 0, 60)), times=times)
            case "cut":
                faults.cut(methods, times=times)
            case "drop_sockets":
                self._platform.call(self._platform.sockets.drop)
            case "refresh_sockets":
                self._platform.call(lambda: self._platform.sockets.disconnect("refresh_requested", close=True))
            case "clear":
                faults.clear()
            case _:
                raise ValueError(f"There is no trouble called {kind[:50]!r}.")

    def _guide(self, asked: Json) -> None:
        press = self._platform.guide_buttons.get(_text(asked, "button", 100))
        if press is None:
            raise NotThere("That button is not there any more.")
        press()

    def _clock(self, asked: Json) -> None:
        self._platform.clock.advance(float(_number(asked, "seconds", 60, 1, CLOCK_LIMIT)))


def _took(seconds: float) -> Json:
    """How long the app took to acknowledge, for the curious."""
    return {"acknowledged_ms": round(seconds * 1000, 1)}


def _text(asked: Json, name: str, limit: int = 300) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} should be a text.")
    if len(value) > limit:
        raise ValueError(f"That is too long: {len(value):,} characters, and {limit:,} are possible.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} holds half a character.")
    return value


def _number(asked: Json, name: str, default: int, least: int, most: int) -> int:
    value: Any = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} should be a whole number from {least} to {most}.")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > 100:
        raise ValueError("That should be a list of at most a hundred.")
    return value


def _option(options: list[Json], value: object) -> Json:
    """The chosen option; what is chosen comes back as text and value alone."""
    for option in options:
        if option.get("value") == value:
            return {"text": option["text"], "value": option["value"]}
    raise NotThere("That is none of the options.")


def _rich_text(value: object) -> Json:
    if not isinstance(value, dict) or value.get("type") != "rich_text":
        raise ValueError("That should be rich text.")
    if problems := block_kit.check_message({"text": " ", "blocks": [value]}):
        raise ValueError(f"That is no rich text: {problems[0]}")
    return value


def _moment(kind: str, value: str) -> str:
    try:
        datetime.strptime(value, "%Y-%m-%d" if kind == "datepicker" else "%H:%M")  # noqa: DTZ007
    except ValueError:
        raise ValueError("That is no date." if kind == "datepicker" else "That is no time of day.") from None
    return value


def _place(asked: Json) -> tuple[str, str, str]:
    return str(asked.get("view") or asked.get("ts")), str(asked.get("block")), str(asked.get("action"))

"""An open form: filling in, choosing, ticking and submitting it, and the result of a submission."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from sandbox import payload_checks, payloads
from sandbox.blocks import STATEFUL, Control, is_empty
from sandbox.driver.acting import Acknowledged, act, option_called, send, suggestions
from sandbox.driver.surface import ViewSurface
from sandbox.errors import NotThere, SlackError
from sandbox.platform import Platform
from sandbox.records import Channel, Json, User
from sandbox.text import RichText, rich_text_value
from sandbox.views import View

# Errors that Slack itself shows in a form before it sends anything to the app.
REQUIRED = "Please complete this required field."
TROUBLE = "We had some trouble connecting. Try again?"

_TEXT_INPUTS = ("plain_text_input", "number_input", "email_text_input", "url_text_input")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a submission."""

    errors: dict[str, str] = field(default_factory=dict)  # by the field's label; "" stands for the form as a whole
    closed: bool = False
    updated: bool = False  # the same form has new content
    pushed: "Form | None" = None
    acknowledged: Acknowledged | None = None  # None: Slack's own checks stopped the submission

    @property
    def ok(self) -> bool:
        """Whether the app accepted the submission."""
        return not self.errors


class Form(ViewSurface):
    """An open form."""

    def __init__(self, platform: Platform, view: View) -> None:
        super().__init__(platform, view)

    def __repr__(self) -> str:
        return f"<form {self.title!r} of {self.user.name}: {self.text!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and other.view is self.view

    def __hash__(self) -> int:
        return id(self.view)

    @property
    def title(self) -> str:
        return str(self.view.definition["title"]["text"])

    @property
    def open(self) -> bool:
        return self.view.open

    @property
    def errors(self) -> dict[str, str]:
        """The errors shown beside its fields, by label."""
        return {self._label_of(block_id): words for block_id, words in self.view.errors.items()}

    @property
    def private_metadata(self) -> str:
        return str(self.view.definition.get("private_metadata") or "")

    def value(self, label: str) -> str | list[str] | None:
        """The value of a field: its text, the text of the chosen option, or a list of those; ids for people
        and channels.
        """
        control = self.control(label, kinds=[*STATEFUL])
        state = self.view.values.get(control.block_id, {}).get(control.action_id, {})
        value = state.get(STATEFUL[control.type][0])
        if control.type == "rich_text_input":
            return self.read(value) or None
        if isinstance(value, list):
            return [str(one["text"]["text"]) if isinstance(one, dict) else str(one) for one in value]
        if isinstance(value, dict):
            return str(value["text"]["text"])
        return None if value is None else str(value)

    # -- filling in

    def fill(self, label: str, written: RichText) -> "Form":
        """Write into a text field. A rich text field takes a text, or a list of texts and people, groups,
        channels.

        Raises NotThere when there is no such field.
        """
        control = self.control(label, kinds=[*_TEXT_INPUTS, "rich_text_input"])
        if control.type == "rich_text_input":
            return self._set(control, {"rich_text_value": rich_text_value(written, self._platform.workspace)})
        if not isinstance(written, str):
            raise TypeError(f"{label!r} is a plain text field")
        return self._set(control, {"value": written or None})

    def choose(self, label: str, *choices: "str | User | Channel | HasId") -> "Form":
        """Pick from a select or radio group: options by their text, people and channels as objects. Raises
        NotThere.
        """
        kinds = [kind for kind in STATEFUL if "select" in kind or kind == "radio_buttons"]
        control = self.control(label, kinds=kinds)
        key, _, empty = STATEFUL[control.type]
        chosen = [self._chosen(control, choice) for choice in choices]
        if empty is None:
            return self._set(control, {key: chosen[0] if chosen else None})
        return self._set(control, {key: chosen})

    def _chosen(self, control: Control, choice: "str | User | Channel | HasId") -> Json | str:
        if STATEFUL[control.type][0] in ("selected_option", "selected_options"):
            if not isinstance(choice, str):
                raise TypeError(f"{control.label!r} offers options, not people or places")
            return option_called(self._platform, self.user, self, control, choice)
        return choice if isinstance(choice, str) else str(choice.id)

    def check(self, label: str, *options: str) -> "Form":
        """Tick exactly these of a set of checkboxes. Raises NotThere."""
        control = self.control(label, kinds=["checkboxes"])
        chosen = [option_called(self._platform, self.user, self, control, option) for option in options]
        return self._set(control, {"selected_options": chosen})

    def pick(self, label: str, moment: "date | time | datetime | str | None") -> "Form":
        """Choose a date, a time of day, or a moment (aware, for a date-and-time picker). Raises NotThere."""
        control = self.control(label, kinds=["datepicker", "timepicker", "datetimepicker"])
        value: str | int | None
        if isinstance(moment, datetime):
            value = int(moment.timestamp())
        elif isinstance(moment, time):
            value = moment.strftime("%H:%M")
        else:
            value = str(moment) if moment is not None else None
        return self._set(control, {STATEFUL[control.type][0]: value})

    def offered(self, label: str, typed: str = "") -> list[str]:
        """The options that an external select offers for the typed text."""
        control = self.control(label, kinds=["external_select", "multi_external_select"])
        return [str(o["text"]["text"]) for o in suggestions(self._platform, self.user, self, control, typed)]

    def _set(self, control: Control, value: Json) -> "Form":
        if not self.view.open:
            raise NotThere(f"the form {self.title!r} is closed")
        with self._platform.workspace.changing():
            self.view.values.setdefault(control.block_id, {})[control.action_id] = {
                "type": control.type,
                **value,
            }
            self.view.errors.pop(control.block_id, None)
        if not control.is_input or control.block.get("dispatch_action"):
            act(self._platform, self.user, self, control, value)
        return self

    # -- submitting

    def submit(self) -> Outcome:
        """Press the form's submit button and apply the app's response.

        Raises NotThere for a form that is closed or has no such button, and NotAcknowledged.
        """
        if not self.view.open:
            raise NotThere(f"the form {self.title!r} is closed")
        if not self.view.definition.get("submit"):
            raise NotThere(f"the form {self.title!r} has nothing to submit")
        if held_back := self._held_back():
            return Outcome(errors=held_back)
        with self._platform.workspace.lock:
            payload = payloads.view_submission(self._platform, self.user, self.view)
        done = send(self._platform, "interactive", "view_submission", payload, accepts_response=True)
        try:
            return self._follow(done)
        except SlackError as refusal:
            details = "; ".join(refusal.messages)
            self._platform.problem(refusal.error, f"the answer to a view_submission. {details}".rstrip())
            return Outcome(errors={"": TROUBLE}, acknowledged=done)

    def _held_back(self) -> dict[str, str]:
        """Errors of values that Slack's client does not send: empty required fields, texts too short or too long."""
        errors = {}
        for control in self._controls():
            if not control.is_input:
                continue
            state = self.view.values.get(control.block_id, {}).get(control.action_id, {"type": control.type})
            if is_empty(control.type, state):
                if not control.block.get("optional"):
                    errors[control.label] = REQUIRED
                continue
            if control.type == "plain_text_input":
                length = len(str(state["value"]))
                least, most = control.element.get("min_length", 0), control.element.get("max_length", 3000)
                if length < least:
                    errors[control.label] = f"Must be at least {least} characters"
                elif length > most:
                    errors[control.label] = f"Must be less than {most} characters"
        return errors

    def _follow(self, done: Acknowledged) -> Outcome:
        """Apply the response to a submission; raises SlackError for a response that Slack does not know."""
        answer, views = done.answer, self._platform.views
        payload_checks.require_submission_answer(answer, self.view.definition)
        match answer.get("response_action"):
            case "clear":
                views.drop(self.user.id)
            case "errors":
                with self._platform.workspace.changing():
                    self.view.errors = dict(answer["errors"])
                    self._platform.workspace.looks_new(self.user)
                return Outcome(errors=self.errors, acknowledged=done)
            case "update":
                views.update(self.view, payload_checks.require_view(answer["view"]))
                return Outcome(updated=True, acknowledged=done)
            case "push":
                pushed = views.push(self.user, payload_checks.require_view(answer["view"]))
                return Outcome(pushed=Form(self._platform, pushed), acknowledged=done)
            case _:
                views.pop(self.view)
        return Outcome(closed=True, acknowledged=done)

    def _label_of(self, block_id: str) -> str:
        return next((c.label for c in self._controls() if c.block_id == block_id), block_id)

    def close(self, *, everything: bool = False) -> None:
        """Cancel the form, or with `everything` the whole stack of forms; the app is notified if it asked for
        that.
        """
        views = self._platform.views
        with self._platform.workspace.changing():
            cleared = everything or bool(self.view.definition.get("clear_on_close"))
            if cleared:
                closing: Sequence[View] = views.stacks.get(self.user.id, [])[::-1]
            else:
                closing = [self.view]
            payloads_to_send = [
                payloads.view_closed(self._platform, self.user, view, cleared=cleared)
                for view in closing
                if view.definition.get("notify_on_close")
            ]
            if cleared:
                views.drop(self.user.id)
            else:
                views.pop(self.view)
        for payload in payloads_to_send:
            send(self._platform, "interactive", "view_closed", payload)


class HasId:
    """Anything that has an id: a person, a user group."""

    id: str

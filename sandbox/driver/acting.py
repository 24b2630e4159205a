"""The actions that several surfaces share: using a control, asking for options, and waiting for the app's
acknowledgement.
"""

import copy
from dataclasses import dataclass

from sandbox import payload_checks, payloads
from sandbox.blocks import STATEFUL, Control, options_of
from sandbox.deliveries import Delivery
from sandbox.driver.surface import SeenMessage, Surface, ViewSurface
from sandbox.errors import NotAcknowledged, NotConnected, NotThere, SlackError
from sandbox.platform import Platform
from sandbox.records import Json, User


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The app's acknowledgement of something a person did."""

    payload: Json  # what was sent to the app
    answer: Json  # what came with the acknowledgement
    seconds: float  # from sending to acknowledgement

    @property
    def trigger_id(self) -> str:
        """The trigger id that the app received."""
        return str(self.payload.get("trigger_id", ""))


def send(platform: Platform, kind: str, name: str, payload: Json, *, accepts_response: bool = False) -> Acknowledged:
    """Send a payload and wait for its acknowledgement; raises NotAcknowledged or NotConnected."""
    delivery = platform.deliveries.send(kind, name, payload, accepts_response=accepts_response)
    return acknowledged(platform, delivery)


def acknowledged(platform: Platform, delivery: Delivery) -> Acknowledged:
    """Wait for an acknowledgement; raises NotAcknowledged or NotConnected."""
    deliveries = platform.deliveries
    delivery.settled.wait(deliveries.acknowledge_seconds + 5)
    if delivery.failure in ("not_connected", "connection_failed"):
        raise NotConnected("no app is there: it holds no socket, or its request URL takes no connection")
    if not delivery.acknowledged:
        what = f"{delivery.kind} {delivery.exchange.name!r}"
        raise NotAcknowledged(f"the app did not acknowledge {what} within {deliveries.acknowledge_seconds:g} s")
    exchange = delivery.exchange
    return Acknowledged(delivery.payload, delivery.answer, (exchange.answered_at or exchange.at) - exchange.at)


def require_in_front(platform: Platform, user: User, surface: Surface) -> None:
    """Raises NotThere for a message that was deleted or that this person cannot see, and for another person's form."""
    if isinstance(surface, ViewSurface):
        if surface.user is not user or not surface.view.open:
            raise NotThere(f"{surface!r} is not in front of {user.real_name}")
    elif isinstance(surface, SeenMessage):
        record = surface.record
        members = platform.workspace.channels[record.channel_id].members
        if record.deleted or record.ephemeral_to not in (None, user.id) or user.id not in members:
            raise NotThere(f"{surface!r} is not in front of {user.real_name}")


def act(platform: Platform, user: User, surface: Surface, control: Control, value: Json) -> Acknowledged:
    """Use a control, which sends `block_actions` to the app. Raises NotThere when the person cannot see the
    control.
    """
    require_in_front(platform, user, surface)
    with platform.workspace.lock:
        if isinstance(surface, SeenMessage):
            payload = payloads.action_in_message(platform, user, surface.record, control, value)
        elif isinstance(surface, ViewSurface):
            if control.type in STATEFUL:
                surface.view.values.setdefault(control.block_id, {})[control.action_id] = {
                    "type": control.type,
                    **value,
                }
            payload = payloads.action_in_view(platform, user, surface.view, control, value)
        else:
            raise TypeError(f"nothing can be used in {surface!r}")
    return send(platform, "interactive", "block_actions", payload)


def suggestions(platform: Platform, user: User, surface: Surface, control: Control, typed: str) -> list[Json]:
    """The options that the app offers for what was typed into an external select.

    Slack asks from the third character on, unless `min_query_length` says otherwise.
    """
    if len(typed) < int(control.element.get("min_query_length", 3)):
        return []
    if not isinstance(surface, SeenMessage | ViewSurface):
        raise TypeError(f"nothing can be looked up in {surface!r}")
    where = surface.record if isinstance(surface, SeenMessage) else surface.view
    with platform.workspace.lock:
        payload = payloads.suggestion(platform, user, where, control, typed)
    answer = send(platform, "interactive", "block_suggestion", payload, accepts_response=True).answer
    try:
        payload_checks.require_options(answer)
    except SlackError as refusal:
        details = "; ".join(refusal.messages)
        platform.problem(refusal.error, f"the options for {control.action_id}. {details}")
        return []
    return copy.deepcopy(options_of(answer))


def option_called(platform: Platform, user: User, surface: Surface, control: Control, wanted: str) -> Json:
    """The option of a select with the text `wanted`; for an external select, the app is asked for its options.

    Raises NotThere, listing the options, when there is none.
    """
    external = control.type in ("external_select", "multi_external_select")
    offered = suggestions(platform, user, surface, control, wanted) if external else options_of(control.element)
    for option in offered:
        if option["text"]["text"] == wanted:
            # A chosen option is sent back with text and value only.
            return {"text": copy.deepcopy(option["text"]), "value": option["value"]}
    if external and len(offered) == 1:
        return {"text": offered[0]["text"], "value": offered[0]["value"]}
    texts = [option["text"]["text"] for option in offered]
    raise NotThere(f"{control.label!r} offers no {wanted!r}, but: {texts}")

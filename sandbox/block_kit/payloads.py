"""What an app may send as a whole: messages, views, the answers to an option load and to a submitted form."""

import re
from collections.abc import Mapping
from itertools import chain

from sandbox.block_kit.blocks import BLOCK
from sandbox.block_kit.composition import OPTION_GROUP, SELECT_OPTION, text_object
from sandbox.block_kit.shapes import (
    Check,
    Problem,
    Rule,
    Visit,
    accepted,
    array,
    at_least_one,
    boolean,
    escaped,
    exactly_one,
    matching,
    obj,
    one_of,
    tagged,
    text,
    url,
)

# Messages: docs.slack.dev/reference/methods/chat.postMessage (40,000 characters of text, 100 attachments) and
# docs.slack.dev/reference/block-kit/blocks (50 blocks).

_MESSAGE_TEXT = text(0, 40_000)
_MESSAGE_BLOCKS = array(BLOCK, least=0, most=50)


# Attachments: docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments; fields that the
# page leaves out from @slack/types, colours and what excludes what from slack_sdk.

_COLOR = re.compile(r"#?[0-9a-fA-F]{6}|#?[0-9a-fA-F]{3}")


def _is_color(value: str) -> bool:
    return value in ("good", "warning", "danger") or _COLOR.fullmatch(value) is not None


def _timestamp(value: object, at: str, visit: Visit) -> None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        visit.report(at, "must be a timestamp")


def _one_picture(attachment: Mapping[str, object], at: str, visit: Visit) -> None:
    if "image_url" in attachment and "thumb_url" in attachment:
        visit.report(at, "must define only one of `image_url` or `thumb_url`")


_TEXT = text(0)
_ATTACHMENT = obj(
    {
        "blocks": array(BLOCK, least=0, most=50),
        "color": matching(_is_color, "must be good, warning, danger or a hex color"),
        **dict.fromkeys(("fallback", "text", "pretext", "title", "author_name", "author_subname"), _TEXT),
        **dict.fromkeys(("title_link", "author_link", "author_icon", "footer_icon", "image_url", "thumb_url"), url()),
        "footer": text(0, 300),
        "ts": _timestamp,
        "mrkdwn_in": array(one_of("pretext", "text", "fields"), least=0),
        "fields": array(
            obj({"title": _TEXT, "value": _TEXT, "short": boolean}, ("title", "value")),
            least=0,
        ),
        "callback_id": text(most=255),
        # Legacy message buttons are no Block Kit: what they hold is not looked at.
        "actions": array(accepted, least=0, most=5),
    },
    rules=(at_least_one("blocks", "text", "fallback"), _one_picture),
)
_ATTACHMENTS = array(_ATTACHMENT, least=0, most=100)


# Metadata: docs.slack.dev/messaging/message-metadata.


def _event_payload(value: object, at: str, visit: Visit) -> None:
    """Strings, numbers and booleans, in objects and arrays of any depth."""
    if not isinstance(value, dict):
        visit.report(at, "must provide an object")
        return
    waiting: list[tuple[str, object]] = [(at, value)]
    while waiting:
        here, one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend((f"{here}/{escaped(str(key))}", inner) for key, inner in one.items())
        elif isinstance(one, list):
            waiting.extend((f"{here}/{index}", inner) for index, inner in enumerate(one))
        elif not isinstance(one, str | int | float):
            visit.report(here, "must provide a string, a number, a boolean, an object or an array")


_METADATA = obj({"event_type": text(), "event_payload": _event_payload}, ("event_type", "event_payload"))

_MESSAGE_FIELDS: dict[str, Check] = {
    "text": _MESSAGE_TEXT,
    "blocks": _MESSAGE_BLOCKS,
    "attachments": _ATTACHMENTS,
    "metadata": _METADATA,
}


def check_message(payload: Mapping[str, object], *, ephemeral: bool = False) -> list[Problem]:
    """What Slack would refuse in a message that an app posts, updates, or answers with.

    Looks at `text`, `blocks`, `attachments` and `metadata`; other fields (channel, thread_ts ...) belong to
    the method and are not looked at, nor whether there is anything to show at all (`no_text`). A field that
    is null counts as left out. `ephemeral` messages show no files. Pointers begin with the field's name.
    Never raises.
    """
    visit = Visit("message", ephemeral)
    for name, check in _MESSAGE_FIELDS.items():
        value = payload.get(name)
        if value is not None:
            check(value, f"/{name}", visit)
    return visit.problems


# Views: docs.slack.dev/reference/views/modal-views and home-tab-views. That a view needs a block is
# slack_sdk's.

_VIEW_BLOCKS = array(BLOCK, most=100)
_BUTTON_OF_VIEW = text_object(24)
_SUBMIT_MISSING = "must define `submit` to use an `input` block in modals"


def _inputs_need_submit(view: Mapping[str, object], _: str, visit: Visit) -> None:
    if "submit" not in view:
        for at in visit.inputs:
            visit.report(f"{at}/input", _SUBMIT_MISSING)


def _view(fields: Mapping[str, Check], required: tuple[str, ...], rules: tuple[Rule, ...] = ()) -> Check:
    common: dict[str, Check] = {
        "type": accepted,
        "blocks": _VIEW_BLOCKS,
        "private_metadata": text(0, 3000),
        "callback_id": text(0, 255),
        "external_id": text(0, 255),
    }
    return obj({**common, **fields}, required, rules)


_MODAL = _view(
    {
        "title": _BUTTON_OF_VIEW,
        "close": _BUTTON_OF_VIEW,
        "submit": _BUTTON_OF_VIEW,
        "clear_on_close": boolean,
        "notify_on_close": boolean,
    },
    ("title", "blocks"),
    (_inputs_need_submit,),
)
_HOME = _view({}, ("blocks",))
_VIEW = tagged({"modal": _MODAL, "home": _HOME})


def check_view(view: Mapping[str, object], *, at: str = "/view") -> list[Problem]:
    """What Slack would refuse in a modal or a Home tab, whichever its `type` says.

    Which of the two a method takes is for its caller to look at. Pointers begin with `at`. Never raises.
    """
    visit = Visit("home" if view.get("type") == "home" else "modal")
    _VIEW(view if isinstance(view, dict) else dict(view), at, visit)
    return visit.problems


# The answer to a block_suggestion: docs.slack.dev/reference/block-kit/block-elements/select-menu-element,
# "select menu of external data source". No options at all is how an app says that nothing was found.

_OPTIONS = obj(
    {
        "options": array(SELECT_OPTION, least=0, most=100),
        "option_groups": array(OPTION_GROUP, least=0, most=100),
    },
    rules=(exactly_one("options", "option_groups"),),
)


def check_options(payload: Mapping[str, object]) -> list[Problem]:
    """What Slack would refuse in the answer to an option load. Never raises."""
    visit = Visit("modal")
    _OPTIONS(dict(payload), "", visit)
    return visit.problems


# The answer to a view_submission: docs.slack.dev/surfaces/modals.

_ERROR = text()


def _errors(value: object, at: str, visit: Visit, inputs: frozenset[object]) -> None:
    if not isinstance(value, dict):
        visit.report(at, "must provide an object")
        return
    if not value:
        visit.report(at, "must define at least one property")
    for block_id, message in value.items():
        here = f"{at}/{escaped(str(block_id))}"
        if block_id not in inputs:
            visit.report(here, "must be the `block_id` of an `input` block of the view")
        _ERROR(message, here, visit)


def _input_block_ids(view: Mapping[str, object]) -> frozenset[object]:
    blocks = view.get("blocks")
    inside = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    children = (block.get("child_blocks") for block in inside if block.get("type") == "container")
    nested = chain.from_iterable(child for child in children if isinstance(child, list))
    return frozenset(
        block["block_id"]
        for block in chain(inside, nested)
        if isinstance(block, dict) and block.get("type") == "input" and isinstance(block.get("block_id"), str)
    )


def check_view_submission_response(payload: Mapping[str, object], view: Mapping[str, object]) -> list[Problem]:
    """What Slack would refuse in the answer to a submitted form; an empty payload closes the form.

    `view` is the submitted view as Slack keeps it, every block with its `block_id`. Never raises.
    """
    visit = Visit("modal")
    if not payload:
        return visit.problems
    action = payload.get("response_action")
    if "response_action" not in payload:
        visit.report("", "missing required field: response_action")
        return visit.problems
    if action not in ("errors", "update", "push", "clear"):
        visit.report("/response_action", "must be a valid enum value")
        return visit.problems
    needed = {"errors": "errors", "update": "view", "push": "view"}.get(str(action))
    for name in payload:
        if name not in ("response_action", needed):
            visit.report("", f"invalid additional property: {name}")
    if needed is not None and needed not in payload:
        visit.report("", f"missing required field: {needed}")
    elif needed == "errors":
        _errors(payload["errors"], "/errors", visit, _input_block_ids(view))
    elif needed == "view":
        inner = payload["view"]
        if not isinstance(inner, dict):
            visit.report("/view", "must provide an object")
        elif inner.get("type") == "home":
            visit.report("/view/type", "unsupported type: home")
        else:
            visit.problems.extend(check_view(inner))
    return visit.problems

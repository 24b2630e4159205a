"""Composition objects: text, options, the confirmation dialog and the other small parts of elements.

Source: docs.slack.dev/reference/block-kit/composition-objects and the page of each object below it.
"""

from collections.abc import Mapping

from sandbox.block_kit.shapes import (
    Check,
    Visit,
    accepted,
    array,
    boolean,
    exactly_one,
    obj,
    one_of,
    text,
    url,
)

PLAIN = frozenset({"plain_text"})
PLAIN_OR_MRKDWN = frozenset({"plain_text", "mrkdwn"})

# text-object: `emoji` is for plain_text only, `verbatim` for mrkdwn only.
_SWITCH_OF = {"plain_text": "emoji", "mrkdwn": "verbatim"}


def text_object(most: int, kinds: frozenset[str] = PLAIN) -> Check:
    """A text object of one of `kinds` with 1 to `most` characters (text-object; `most` comes from its place).

    Written out, not put together from `obj`: half of what is looked at in a message is texts.
    """

    def check(value: object, at: str, visit: Visit) -> None:
        if not isinstance(value, dict):
            visit.report(at, "must provide an object")
            return
        kind = value.get("type")
        if not isinstance(kind, str):
            visit.report(at, "missing required field: type")
            return
        if kind not in kinds:
            visit.report(f"{at}/type", f"unsupported type: {kind}")
            return
        words = value.get("text")
        if not isinstance(words, str):
            if "text" in value:
                visit.report(f"{at}/text", "must provide a string")
            else:
                visit.report(at, "missing required field: text")
        elif not words:
            visit.report(f"{at}/text", "must be more than 0 characters")
        elif len(words) > most:
            visit.report(f"{at}/text", f"must be less than {most + 1} characters")
        if len(value) > 2 or "text" not in value:
            switch = _SWITCH_OF[kind]
            for name, one in value.items():
                if name == switch:
                    boolean(one, f"{at}/{name}", visit)
                elif name not in ("type", "text"):
                    visit.report(at, f"invalid additional property: {name}")

    return check


def _option(kinds: frozenset[str], *, with_url: bool = False) -> Check:
    """option-object: mrkdwn is for checkboxes and radio buttons, a url for overflow menus."""
    fields = {"text": text_object(75, kinds), "value": text(most=150), "description": text_object(75, kinds)}
    if with_url:
        fields["url"] = url()
    return obj(fields, ("text", "value"))


SELECT_OPTION = _option(PLAIN)
OVERFLOW_OPTION = _option(PLAIN, with_url=True)
CHOICE_OPTION = _option(PLAIN_OR_MRKDWN)

# option-group-object: label 75, up to 100 options.
OPTION_GROUP = obj({"label": text_object(75), "options": array(SELECT_OPTION, most=100)}, ("label", "options"))

STYLE = one_of("primary", "danger")

# confirmation-dialog-object. The page wants plain_text for its text; slack_sdk makes mrkdwn of it by default.
CONFIRM = obj(
    {
        "title": text_object(100),
        "text": text_object(300, PLAIN_OR_MRKDWN),
        "confirm": text_object(30),
        "deny": text_object(30),
        "style": STYLE,
    },
    ("title", "text", "confirm", "deny"),
)

# dispatch-action-configuration-object.
DISPATCH_ACTION_CONFIG = obj({"trigger_actions_on": array(one_of("on_enter_pressed", "on_character_entered"), most=2)})


def _says_something(value: Mapping[str, object], at: str, visit: Visit) -> None:
    if not value:
        visit.report(at, "must define at least one property")


# conversation-filter-object: no field is required, but one must be there; `include` may not be empty.
CONVERSATION_FILTER = obj(
    {
        "include": array(one_of("im", "mpim", "private", "public")),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
    rules=(_says_something,),
)

# slack-file-object: a payload with both is rejected.
_SLACK_FILE = obj({"id": text(), "url": url()}, rules=(exactly_one("id", "url"),))


def slack_file(value: object, at: str, visit: Visit) -> None:
    """A file of the workspace as the source of an image. Files do not show in ephemeral messages."""
    if visit.ephemeral:
        visit.report(at, "slack_file is not supported in ephemeral messages")
    _SLACK_FILE(value, at, visit)


# workflow-object and trigger-object.
WORKFLOW = obj(
    {
        "trigger": obj(
            {
                "url": url(),
                "customizable_input_parameters": array(
                    obj({"name": text(), "value": accepted}, ("name", "value")), least=0
                ),
            },
            ("url",),
        )
    },
    ("trigger",),
)

# slack-icon-object, of cards.
# fmt: off
_ICONS = (
    "archive", "book", "bookmark", "bot", "bug", "calendar", "call", "caret-left", "caret-right",
    "check", "clipboard", "code", "comment", "compass", "copy", "cube", "download", "edit", "email",
    "eye-closed", "eye-open", "file", "flag", "folder", "gear", "globe", "heart", "help", "image",
    "info", "key", "lightbulb", "link", "map", "mobile", "new-window", "pin", "plus", "refine",
    "refresh", "rocket", "save", "screen", "share", "sparkle", "star", "star-filled", "tag",
    "thumbs-down", "thumbs-up", "trash", "upload", "user", "warning",
)
# fmt: on
SLACK_ICON = obj(
    {
        "type": one_of("icon"),
        "name": one_of(*_ICONS),
    },
    ("type", "name"),
)

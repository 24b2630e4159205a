"""Cards and the tasks of a plan.

Source: as for `blocks`.
"""

from collections.abc import Mapping

from sandbox.block_kit.block_parts import block_with
from sandbox.block_kit.composition import PLAIN_OR_MRKDWN, SLACK_ICON, text_object
from sandbox.block_kit.elements import BUTTON, IMAGE
from sandbox.block_kit.rich_text import NESTED_RICH_TEXT
from sandbox.block_kit.shapes import Check, Visit, accepted, array, at_least_one, obj, one_of, tagged, text, url

# task-card-block and plan-block: titles are strings, not text objects.


def task(block_id: Check) -> Check:
    return obj(
        {
            "type": one_of("task_card"),
            "block_id": block_id,
            "task_id": text(),
            "title": text(),
            "details": NESTED_RICH_TEXT,
            "output": NESTED_RICH_TEXT,
            "sources": array(
                # url-source-element
                tagged({"url": obj({"type": accepted, "url": url(), "text": text()}, ("url", "text"))})
            ),
            "status": one_of("pending", "in_progress", "complete", "error"),
        },
        # slack_sdk does not let the status out.
        ("task_id", "title", "status"),
    )


# card-block and carousel-block

_CARD_TITLE = text_object(150, PLAIN_OR_MRKDWN)
_CARD_TEXT = text_object(200, PLAIN_OR_MRKDWN)


def _one_icon(block: Mapping[str, object], at: str, visit: Visit) -> None:
    if "icon" in block and "slack_icon" in block:
        visit.report(at, "must define only one of `icon` or `slack_icon`")


IMAGE_ELEMENT = tagged({"image": IMAGE})
CARD = block_with(
    {
        "hero_image": IMAGE_ELEMENT,
        "icon": IMAGE_ELEMENT,
        "slack_icon": SLACK_ICON,
        "title": _CARD_TITLE,
        "subtitle": _CARD_TITLE,
        "body": _CARD_TEXT,
        "subtext": _CARD_TEXT,
        "actions": array(tagged({"button": BUTTON}), most=3),
    },
    rules=(at_least_one("hero_image", "title", "actions", "body"), _one_icon),
)


def carousel_card(value: object, at: str, visit: Visit) -> None:
    """A card in a carousel is a block of its own: its buttons may be called like those of the next card."""
    visit.action_ids.clear()
    CARD(value, at, visit)

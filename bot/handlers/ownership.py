"""A button or form works only in the organization for which it was rendered: workspaces may move."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from bot.incidents.access import Access
from bot.incidents.errors import Refusal
from bot.messages.organization_tag import parse_organization, tag_organization
from bot.slack.requests import Origin, Press, Request, Submission
from bot.slack.responses import Answer, Done, Ephemeral, OpenForm, PublishHome, UpdateForm, View

# No form or Home stays open and unchanged for longer.
_VIEW_LIFETIME = timedelta(days=1)
_KEY = "o"  # in the private metadata of a form
OWNER_LENGTH = 30  # characters in the private metadata, at most

T = TypeVar("T")


class OfAnotherOrganization(Refusal):
    """The button or form was rendered when the workspace belonged to another organization."""

    def __init__(self) -> None:
        super().__init__(
            "This was made for another organization, before the workspace moved to yours. Nothing was changed."
            " Run the command again."
        )


def check(request: Request, access: Access, now: datetime) -> None:
    """Raises OfAnotherOrganization for a button or form of another organization.

    One without an owner was rendered by the previous version. It is accepted where its age says that the workspace had
    its organization by then.
    """
    match request:
        case Press():
            owner, rendered_at = parse_organization(request.block_id), _moment(request.message_ts)
        case Submission():
            organization_id = request.origin.get(_KEY)
            owner, rendered_at = (organization_id if isinstance(organization_id, int) else None), None
        case _:
            return
    if owner is None and access.workspace_added is not None:
        since = access.workspace_added
        known = rendered_at >= since if rendered_at is not None else now - since > _VIEW_LIFETIME
        owner = access.organization_id if known else None
    elif owner is None:
        return
    if owner != access.organization_id:
        raise OfAnotherOrganization


def mark(outcome: T, organization_id: int) -> T:
    """The response, with its message or form marked as the organization's."""
    match outcome:
        case Answer() | Ephemeral():
            return replace(outcome, message=tag_organization(outcome.message, organization_id))
        case UpdateForm(home=PublishHome() as home):
            return replace(mark(replace(outcome, home=None), organization_id), home=mark(home, organization_id))
        case OpenForm() | UpdateForm() | PublishHome():
            return replace(outcome, view=_form(tag_organization(outcome.view, organization_id), organization_id))
        case Done() if outcome.follow_up is not None:
            return replace(outcome, follow_up=mark(outcome.follow_up, organization_id))
    return outcome


def _form(view: View, organization_id: int) -> View:
    if "submit" not in view:
        return view
    origin = Origin.from_metadata(view.get("private_metadata"))
    origin[_KEY] = organization_id
    return {**view, "private_metadata": origin.to_metadata()}


def _moment(ts: str | None) -> datetime | None:
    """When a message was posted, by its timestamp; None for no or a malformed timestamp."""
    try:
        return datetime.fromtimestamp(float(ts), UTC) if ts else None
    except (ValueError, OverflowError, OSError):
        return None

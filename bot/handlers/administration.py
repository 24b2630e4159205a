"""The windows in which managers and owners administer, opened from Home: each shows a page of one topic.

What is changed there is handled where its command is. `redraw` shows the page again, with what was done above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from bot.digests import service as digests
from bot.digests.summary import summarize
from bot.handlers import home
from bot.handlers.context import Context
from bot.handlers.verb import Feature
from bot.incidents import silences, team_calls
from bot.incidents.errors import Refusal
from bot.intake.revoking import revoke
from bot.messages import administration as messages
from bot.messages import digest_answers, forms
from bot.messages import members as member_messages
from bot.messages import silences as silence_messages
from bot.messages import team_calls as call_messages
from bot.messages.administration import SIZE, Page, Topic
from bot.messages.blocks import Block
from bot.messages.digest_answers import ListedDigest
from bot.messages.forms import Form
from bot.people import membership, overview, slack_changes
from bot.slack.requests import Press, Request
from bot.slack.responses import OpenForm, PublishHome, Response, UpdateForm
from storage.audit_rows import Actor, AuditOrigin

Loaded = tuple[Sequence[Block], bool]  # the entries of a page, and whether another one follows


def open_window(context: Context, request: Press) -> Response:
    """`Members`, `Teams`, `Projects`, `Calls`, `Digests`, `Silences`, `Tokens`, and `Previous` and `Next` in them."""
    page = Page.find(request.value)
    if page is None:
        raise Refusal("This button is from an older version. Open Home again.")
    metadata = str((request.view or {}).get("private_metadata") or "")
    if request.surface == "home":
        page = replace(page, home=metadata)
    view = render(context.connection, context, page)
    return UpdateForm(view) if request.surface == "modal" else OpenForm(view)


def revoke_token(context: Context, request: Press) -> Response:
    """`Revoke`, confirmed."""
    membership.check_manages(context.access)
    digits = request.value
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise Refusal("This button is from an older version. Open Home again.")
    page = Page.find(str((request.view or {}).get("private_metadata"))) or Page(Topic.TOKENS)
    with context.write(once=request.key) as tx:
        membership.get_manager(tx, context.access)
        actor = Actor(AuditOrigin.SLACK, context.access.member_id, workspace_id=context.access.workspace_id)
        revoked = revoke(tx, context.access.organization_id, int(digits), actor, context.now)
        if revoked is None:
            raise Refusal("This token no longer exists.")
        notice = messages.render_revoked(int(digits), before=revoked != context.now)
        changed = redraw(tx, context, request, page, notice)
    return changed if request.surface == "modal" else OpenForm(changed.view)


def redraw(
    tx: Connection, context: Context, request: Request, page: Page, notice: str, view_id: str | None = None
) -> UpdateForm:
    """The page after a change in its window, with Home below it. `notice` (mrkdwn) is what was changed.

    What was changed may be the caller's own role or teams.
    """
    access = context.services.identity.reload(tx, request.person)
    context = replace(context, access=access)
    if membership.manages(access):
        view = render(tx, context, page, notice=notice)
    else:
        view = forms.render_window(member_messages.render_own_role(access.role), title=messages.TITLES[page.topic])
    return UpdateForm(view, view_id, PublishHome(home.render(tx, context, page.home), request.person.user_id))


def render(connection: Connection, context: Context, page: Page, *, notice: str | None = None) -> Form:
    """A page of a window; the first one where it is gone. `notice` (mrkdwn) is what was changed. Raises Refusal."""
    membership.check_manages(context.access)
    entries, more = _LOADERS[page.topic](connection, context, page.number * SIZE)
    if page.number and not entries:
        return render(connection, context, replace(page, number=0), notice=notice)
    buttons = [messages.build_add_button()] if page.topic is Topic.MEMBERS else []
    return messages.render_window(page, entries, more=more, notice=notice, buttons=buttons)


def _load_members(connection: Connection, context: Context, skip: int) -> Loaded:
    found, count = membership.list_members(connection, context.access, (), skip // SIZE, size=SIZE)
    changes = slack_changes.find_slack_changes(connection, context.access, found)
    entries = member_messages.render_entries(found, changes)
    removed = membership.find_removed(connection, context.access)
    if removed.count and not skip:
        entries.append(member_messages.render_removed_in_slack(removed))
    return entries, skip + SIZE < count


def _load_teams(connection: Connection, context: Context, skip: int) -> Loaded:
    found = overview.list_teams(connection, context.access, skip=skip, most=SIZE + 1)
    return [messages.render_team(one) for one in found[:SIZE]], len(found) > SIZE


def _load_projects(connection: Connection, context: Context, skip: int) -> Loaded:
    found = overview.list_projects(connection, context.access, skip=skip, most=SIZE + 1)
    return [messages.render_project(one) for one in found[:SIZE]], len(found) > SIZE


def _load_calls(connection: Connection, context: Context, skip: int) -> Loaded:
    found = team_calls.list_all_calls(connection, context.access, skip=skip, most=SIZE + 1)
    return call_messages.render_entries(found[:SIZE], may_change=True, with_origin=True), len(found) > SIZE


def _load_digests(connection: Connection, context: Context, skip: int) -> Loaded:
    found = digests.list_all_digests(connection, context.access, skip=skip, most=SIZE + 1)
    may_change = context.access.manages_digests
    listed = [ListedDigest(row, summarize(row), history, True, may_change) for row, history in found[:SIZE]]
    return digest_answers.render_entries(listed, None, confirmed=True), len(found) > SIZE


def _load_silences(connection: Connection, context: Context, skip: int) -> Loaded:
    found = silences.list_silences(connection, context.access, SIZE + 1, skip=skip)
    return silence_messages.render_entries(found[:SIZE]), len(found) > SIZE


def _load_tokens(connection: Connection, context: Context, skip: int) -> Loaded:
    found = overview.list_tokens(connection, context.access, skip=skip, most=SIZE + 1)
    return [messages.render_token(one) for one in found[:SIZE]], len(found) > SIZE


_LOADERS: Mapping[Topic, Callable[[Connection, Context, int], Loaded]] = {
    Topic.MEMBERS: _load_members,
    Topic.TEAMS: _load_teams,
    Topic.PROJECTS: _load_projects,
    Topic.CALLS: _load_calls,
    Topic.DIGESTS: _load_digests,
    Topic.SILENCES: _load_silences,
    Topic.TOKENS: _load_tokens,
}


HANDLES = (
    Feature(
        buttons={
            # Members, Teams, Projects, Calls, Digests, Silences, Tokens
            **{f"admin_{topic}": open_window for topic in Topic},
            "admin_previous": open_window,  # Previous
            "admin_next": open_window,  # Next
            "token_revoke": revoke_token,  # Revoke
        }
    ),
)

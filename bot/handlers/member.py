"""`members` and `member`: who belongs to the organization, for its managers and owners."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.calls.usergroups import confirm_sync
from bot.handlers import redraw
from bot.handlers.context import Context
from bot.handlers.member_words import Wanted, parse_change, split_search
from bot.handlers.verb import Verb
from bot.incidents.errors import InvalidInput
from bot.incidents.markup import decode_slack_text, escape, require_storable
from bot.incidents.members import USER_ID, find_member, keep_ids
from bot.incidents.words import shorten, unquote
from bot.messages import answers, forms
from bot.messages import members as messages
from bot.messages.answers import Confirmation
from bot.messages.blocks import Block, Message
from bot.messages.help import Group
from bot.people import joining, slack_changes
from bot.people import membership as rules
from bot.people.membership import FORMS, Action, Newcomer
from bot.slack.requests import Command, OptionsRequest, Origin, Press, Submission
from bot.slack.responses import Answer, Done, OpenForm, Response
from storage.values import Role

USAGE = "member add|role|teams|remove @person …"

# --- the list ------------------------------------------------------------------------------------------------


def handle_list(context: Context, _request: Command, words: str) -> Response:
    """`members [words]`."""
    rules.check_manages(context.access)
    typed = unquote(" ".join(require_storable(decode_slack_text(keep_ids(words))).split()))
    if USER_ID.fullmatch(typed.removeprefix("@")):
        member_id = _find_member(context, typed, Action.ROLE)  # first: it may give the connection back
        typed = rules.get_member(context.connection, context.access, member_id).name
    if len(typed) > messages.MAX_SEARCH:
        raise InvalidInput(f"Search by at most {messages.MAX_SEARCH} characters.")
    return Answer(_render_page(context, typed, 0))


def turn_page(context: Context, request: Press) -> Response:
    """`Previous` and `Next`."""
    words, page = messages.parse_position(request.value)
    return redraw.turn(request, _render_page(context, require_storable(words), page))


def _render_page(context: Context, words: str, page: int) -> Message:
    connection, access = context.connection, context.access
    searched = split_search(words)
    found, count = rules.list_members(connection, access, searched, page)
    changes = slack_changes.find_slack_changes(connection, access, found)
    removed = None if page else rules.find_removed(connection, access, searched)
    teams = () if count else rules.list_slugs(connection, access)
    return messages.render_list(found, changes, count, words, page, rules.PAGE_SIZE, removed=removed, teams=teams)


# --- a change ------------------------------------------------------------------------------------------------


def handle_command(context: Context, request: Command, words: str) -> Response:
    """`member add|role|teams|remove @person …`: a form that confirms it, or a question where none can be opened."""
    rules.check_manages(context.access)
    wanted, person = parse_change(words)
    if wanted.action is Action.ADD:
        newcomer = _read_newcomer(context, _find_user(context, person))
        earlier = rules.find_earlier(context.connection, context.access, newcomer)
        wanted = replace(wanted, user_id=newcomer.user_id, role=wanted.role or Role.MEMBER)
        name, member = newcomer.profile.name, earlier
    else:
        member_id = _find_member(context, person, wanted.action)
        member = rules.get_member(context.connection, context.access, member_id)
        seen = rules.build_version(member, wanted.action)
        wanted, name = replace(wanted, member_id=member.id, seen=seen), member.name
    rules.check_may_change(context.connection, context.access, wanted.action, member, wanted.role)
    rules.check_teams(context.connection, context.access, wanted.teams or (), FORMS[wanted.action])
    if request.in_message:  # no form can be opened from a message
        return Answer(_render_question(context, wanted, name))
    origin = Origin(s="message", r=request.response_url, **_describe(wanted))
    return OpenForm(_build_form(context, wanted, name, origin.to_metadata()))


def handle_menu(context: Context, request: Press, action: Action) -> Response:
    """`Change role`, `Change teams` and `Remove` in the menu of a member: the form that confirms it."""
    if not re.fullmatch(r"[0-9]{1,18}", request.value):
        raise _from_older_version()
    member = rules.get_member(context.connection, context.access, int(request.value))
    rules.check_may_change(context.connection, context.access, action, member, None)
    wanted = Wanted(
        action,
        member_id=member.id,
        role=member.role if action is Action.ROLE else None,
        teams=tuple(member.teams) if action is Action.TEAMS else None,
        seen=rules.build_version(member, action),
    )
    origin = redraw.origin_of_press(request, **_describe(wanted))
    return OpenForm(_build_form(context, wanted, member.name, origin))


def build_add_form(context: Context, user_id: str, name: str, origin: str) -> forms.Form:
    """The form that confirms adding somebody. Raises Refusal."""
    rules.check_manages(context.access)
    return _build_form(context, Wanted(Action.ADD, user_id, role=Role.MEMBER), name, origin)


def handle_add_press(context: Context, request: Press) -> Response:
    """`Add member`: a form that asks for the person, too."""
    rules.check_manages(context.access)
    wanted = Wanted(Action.ADD, role=Role.MEMBER)
    return OpenForm(_build_form(context, wanted, None, redraw.origin_of_press(request, **_describe(wanted))))


def _describe(wanted: Wanted) -> dict[str, Any]:
    """What the private metadata of a form says of the change."""
    return {"a": wanted.action, "u": wanted.user_id, "i": wanted.member_id, "b": wanted.seen}


def _find_member(context: Context, typed: str, action: Action) -> int:
    """The id of the member that was mentioned, or named by name or e-mail. Raises InvalidInput, SlackAway."""
    user_id = typed.removeprefix("@")
    if USER_ID.fullmatch(user_id):
        member_id, name = context.find_mentioned(user_id)
        if member_id is None:
            raise InvalidInput(f"{shorten(name)} is not a member of your organization.", FORMS[Action.ADD])
        return member_id
    return find_member(context.connection, context.access, typed, FORMS[action], field="person").id


def _find_user(context: Context, typed: str) -> str:
    """The Slack id of who is to be added: mentioned, or named by e-mail. Raises InvalidInput, SlackAway."""
    name = typed.removeprefix("@")
    if USER_ID.fullmatch(name):
        return name
    if "@" in name and " " not in name:
        identity, workspace_id = context.services.identity, context.access.workspace_id
        found = identity.find_user_by_email(context.reading, workspace_id, name)
        if found is not None:
            return found
        raise InvalidInput(f"Nobody in this workspace has the e-mail address {shorten(name)}.", FORMS[Action.ADD])
    raise InvalidInput(f"Who is “{shorten(typed)}”? Mention the person, or give the e-mail address.", FORMS[Action.ADD])


def _read_newcomer(context: Context, user_id: str) -> Newcomer:
    identity = context.services.identity
    return Newcomer(user_id, identity.get_profile(context.reading, context.access.workspace_id, user_id))


# --- the form, and the question ------------------------------------------------------------------------------


def _render_texts(wanted: Wanted, name: str) -> tuple[str, str, str]:
    """What is confirmed, the title of the form, and the label of its button."""
    person = messages.render_name(name)
    match wanted.action:
        case Action.ADD:
            return f"You add {person} to the organization.", "Add member", "Add"
        case Action.ROLE:
            return f"You change the role of {person}.", "Change role", "Change"
        case Action.TEAMS:
            return f"You change the teams of {person}.", "Change teams", "Change"
    sentence = f"You remove {person} from the organization. They see no incidents any more, and own none."
    return sentence, "Remove member", "Remove"


def _render_question(context: Context, wanted: Wanted, name: str) -> Message:
    text, _, label = _render_texts(wanted, name)
    if wanted.role is not None:
        text += f" Role: {messages.ROLE_NAMES[wanted.role].lower()}."
    if wanted.teams is not None:
        names = {one.slug: one.name for one in rules.list_teams(context.connection, context.access)}
        text += f" Teams: {escape(', '.join(names[slug] for slug in wanted.teams)) or 'none'}."
    return messages.render_question(text, label, {**_describe(wanted), "r": wanted.role, "t": wanted.teams})


def _build_form(context: Context, wanted: Wanted, name: str | None, origin: str) -> forms.Form:
    """The form that confirms a change. Without a `name`, it asks for the person."""
    text, title, submit = _render_texts(wanted, name or "somebody")
    fields: list[Block] = [] if name else [messages.build_person_field()]
    if wanted.role is not None:
        own = list(Role).index(context.access.role)
        fields.append(messages.build_role_field(wanted.role, list(Role)[: own + 1]))
    if wanted.action in (Action.ADD, Action.TEAMS):
        choices = [(one.slug, one.name) for one in rules.list_teams(context.connection, context.access)]
        chosen = [slug for slug in wanted.teams or () if slug in dict(choices)]
        everybody_sees = rules.does_everybody_see(context.connection, context.access)
        fields += messages.build_teams_fields(choices, chosen, everybody_sees=everybody_sees)
    return messages.render_form(text, title, submit, fields, origin)


def handle_submission(context: Context, request: Submission) -> Response:
    """The form, submitted."""
    wanted = _read_wanted(request.origin)
    if wanted.action is Action.ADD:
        wanted = replace(wanted, user_id=wanted.user_id or request.user("person") or "")
        if not wanted.user_id:
            raise InvalidInput("Choose a person.", field="person")
    role, teams = read_choices(request)
    wanted = replace(wanted, role=role, teams=teams)
    newcomer = _read_newcomer(context, wanted.user_id) if wanted.action is Action.ADD else None
    with context.write(once=request.key) as tx:
        shown = answers.render_confirmation(Confirmation(_carry_out(tx, context, wanted, newcomer)))
        place = redraw.Place.of_origin(request.origin)
        return Done(redraw.redraw_in_place(tx, context, request, place, shown))


def read_choices(request: Submission) -> tuple[Role | None, tuple[str, ...]]:
    """The role and the teams (slugs) that were chosen. Raises InvalidInput."""
    role = request.chosen("role")
    teams = tuple(require_storable(slug) for slug in request.checked("teams"))
    return (rules.parse_role(role, FORMS[Action.ROLE]) if role else None), teams


def handle_confirmed(context: Context, request: Press) -> Response:
    """The button of the question, confirmed."""
    try:
        value = json.loads(request.value)
        role, teams = value["r"], value["t"]
        wanted = replace(
            _read_wanted(value),
            role=Role(role) if role else None,
            teams=tuple(require_storable(str(slug)) for slug in teams) if teams else (),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _from_older_version() from None
    newcomer = _read_newcomer(context, wanted.user_id) if wanted.action is Action.ADD else None
    with context.write(once=request.key) as tx:
        shown = answers.render_confirmation(Confirmation(_carry_out(tx, context, wanted, newcomer)))
    return redraw.turn(request, shown)


def handle_left(context: Context, request: Press) -> Response:
    """`Remove them`: those who are no longer in the user group leave its team."""
    rules.check_manages(context.access)
    found = re.fullmatch(r"([0-9]{1,18})(?::([0-9]{1,9}))?", request.value)
    if not found:
        raise _from_older_version()
    most = int(found[2]) if found[2] else None
    with context.write(once=request.key) as tx:
        shown = confirm_sync(tx, context.access, int(found[1]), most, context.now)
    return redraw.turn(request, shown)


def _read_wanted(value: Mapping[str, Any]) -> Wanted:
    """What a form or button is about. Raises InvalidInput for what the bot did not write."""
    try:
        member_id = int(value["i"])
        if not 0 <= member_id < 2**63:
            raise ValueError(member_id)
        return Wanted(Action(value["a"]), require_storable(str(value["u"])), member_id, seen=str(value.get("b") or ""))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise _from_older_version() from None


def _from_older_version() -> InvalidInput:
    return InvalidInput("This is from an older version. Type the command again.", FORMS[Action.ADD])


def _carry_out(tx: Connection, context: Context, wanted: Wanted, newcomer: Newcomer | None) -> str:
    """Makes the change. Returns the sentence that says so."""
    access, now, teams = context.access, context.now, wanted.teams or ()
    if newcomer is not None:
        added = rules.add(tx, access, newcomer, wanted.role or Role.MEMBER, teams, now)
        joining.welcome(tx, access, newcomer, added.member.id, context.services.command, now)
        return messages.render_added(added.member, again=added.again)
    if wanted.action is Action.REMOVE:
        return messages.render_removed(rules.remove(tx, access, wanted.member_id, now).member)
    if wanted.action is Action.TEAMS:
        moved = rules.set_teams(tx, access, wanted.member_id, teams, wanted.seen, now)
        return messages.render_teams_changed(moved.member, nothing=moved.nothing)
    if wanted.role is None:
        raise InvalidInput("Choose a role.", FORMS[Action.ROLE], field="role")
    changed = rules.set_role(tx, access, wanted.member_id, wanted.role, wanted.seen, now)
    return messages.render_role_changed(changed.member, nothing=changed.nothing)


def suggest_teams(context: Context, request: OptionsRequest) -> Sequence[Mapping[str, Any]]:
    """The options of the menu of teams, where there are too many to list."""
    rules.check_manages(context.access)
    choices = [(one.slug, one.name) for one in rules.list_teams(context.connection, context.access)]
    return forms.filter_options(choices, require_storable(request.typed))


HANDLES = (
    Verb(
        name="members",
        usage="members [words]",
        summary="Lists the members of the organization with their roles and teams, or those whom the words find: parts"
        " of a name or e-mail address, a role or a team. For managers and owners.",
        examples=("members", "members ben", "members owner", "members payments"),
        group=Group.MEMBERS,
        synonyms=("people", "users"),
        command=handle_list,
        buttons={
            "members_previous": turn_page,  # Previous
            "members_next": turn_page,  # Next
        },
    ),
    Verb(
        name="member",
        usage=", ".join(FORMS.values()),
        form=USAGE,
        summary="Adds a member, changes their role or teams, or removes them. For managers and owners; nobody gives or"
        " takes a role above their own. It stays until the organization file names the same person.",
        examples=(
            "member role @ben admin",
            "member teams @ben team:payments,search",
        ),
        group=Group.MEMBERS,
        synonyms=("user",),
        command=handle_command,
        buttons={
            "member_add": handle_add_press,  # Add member
            "member_role": partial(handle_menu, action=Action.ROLE),  # Change role
            "member_teams_change": partial(handle_menu, action=Action.TEAMS),  # Change teams
            "member_remove": partial(handle_menu, action=Action.REMOVE),  # Remove
            "member_confirm": handle_confirmed,  # Add, Change, Remove
            "members_left": handle_left,  # Remove them
        },
        lookups={"member_teams": suggest_teams},
        forms={"member_change": handle_submission},
    ),
)

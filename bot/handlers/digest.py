"""`digest`: creates, changes, lists and shows digests of open incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests import content, drafts, service
from bot.digests.content import FIRST_NEWS_PERIOD, AccessLost, IncidentsSwitchedOff
from bot.digests.errors import NoSuchDigest
from bot.digests.schedule import USAGE as ADD_USAGE
from bot.digests.schedule import parse_cron
from bot.digests.summary import summarize
from bot.handlers import digest_form, filter_fields, personal_digest, redraw
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents import members
from bot.incidents.errors import InvalidInput, Refusal, SharedChannel
from bot.incidents.markup import decode_slack_text, require_storable
from bot.incidents.words import find_closest, shorten, split_word
from bot.messages import digest as messages
from bot.messages import digest_answers as answers
from bot.messages import forms
from bot.messages.blocks import Message, text_message
from bot.messages.digest import Picture
from bot.messages.digest_answers import ListedDigest, Notes
from bot.messages.help import Group
from bot.slack.requests import Command, Press
from bot.slack.responses import Answer, OpenForm, Response, UpdateForm
from storage.digest_rows import DigestRow

_PREVIEW = "Preview"  # the title of a window


def handle_command(context: Context, request: Command, line: str) -> Response:
    """`digest [add|list|now|pause|resume|edit|remove|preview]`; without a word after it, it opens the form."""
    verb, rest = split_word(decode_slack_text(members.keep_ids(require_storable(line))))
    if not verb:
        return digest_form.open_new(context, request)
    doing = _VERBS.get(verb.lower())
    if doing is None:
        raise _explain_verb(verb, rest)
    if rest.strip().lower() == personal_digest.ME and verb.lower() in personal_digest.ACTIONS:
        return personal_digest.ACTIONS[verb.lower()](context, request)
    return doing(context, request, rest)


def _explain_verb(verb: str, rest: str) -> InvalidInput:
    """The error for a word that cannot follow `digest`."""
    behind, _ = split_word(rest)
    if behind.lower() in _OF_ONE and verb.removeprefix("#").isdecimal():  # "digest 3 pause"
        line = f"digest {behind.lower()} {verb}"
        return InvalidInput(f"The number comes after `{behind.lower()}`.", line, is_guess=True)
    sentence = f"There is no `digest {shorten(verb)}`."
    meant = find_closest(verb, _VERBS)
    if meant:
        return InvalidInput(sentence, ADD_USAGE, wrong=verb, meant=meant)
    return InvalidInput(f"{sentence} It can be followed by {', '.join(_VERBS)}.", ADD_USAGE)


def _add(context: Context, request: Command, rest: str) -> Response:
    service.check_role(context.access)
    draft = drafts.parse_draft(rest, context.access.timezone)
    try:
        filter_fields.look_up_owner(context, draft.query)
    except InvalidInput as mistake:
        raise drafts.with_usage(mistake) from None
    service.check_draft(context.connection, context.access, draft, context.now)
    channel = digest_form.get_channel(context, request.channel_id or "")
    notes = digest_form.build_notes(context, draft, channel)
    with context.write(once=request.key) as tx:
        digest = service.create_digest(tx, context.access, request.person.user_id, channel.id, draft, context.now)
    return Answer(answers.render_saved(f"You created digest {digest.id}.", digest, summarize(digest), notes))


def _list(context: Context, request: Command, _rest: str) -> Response:
    rows = service.list_digests(context.connection, context.access, request.channel_id, answers.MOST_LISTED + 1)
    listed = []
    for row, history in rows:
        may_stop = service.may_manage(context.connection, context.access, row, context.now)
        may_change = may_stop and context.access.manages_digests
        listed.append(ListedDigest(row, summarize(row), history, may_stop, may_change))
    own = personal_digest.render_own(context)
    return Answer(answers.render_list(listed, request.channel_id, context.services.command, own=own))


def _fire_now(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = drafts.parse_id(word, "digest now ID")
    with context.write(once=request.key) as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        service.check_may_change(context.access)
        service.publish_now(tx, digest, context.now)
    return Answer(
        text_message(
            f"Tocsin is sending digest {digest.id} to <#{digest.channel_id}> now. Its schedule stays the same."
        )
    )


def _pause(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = drafts.parse_id(word, "digest pause ID")
    with context.write() as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        if digest.date_paused:
            return _confirm(tx, context, request, f"Digest {digest.id} is already paused.", digest)
        digest = service.pause_digest(tx, context.access, digest, context.now)
        return _confirm(tx, context, request, f"You paused digest {digest.id}.", digest)


def _resume(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = drafts.parse_id(word, "digest resume ID")
    digest = service.get_manageable_digest(
        context.connection, context.access, digest_id, context.now, here=request.channel_id
    )
    if not digest.date_paused:
        return _confirm(context.connection, context, request, f"Digest {digest.id} is not paused.", digest)
    service.check_may_change(context.access)
    here = digest.channel_id == request.channel_id
    digest_form.get_channel(context, digest.channel_id, None if here else digest.workspace_id)
    with context.write() as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        owner_id = digest.owner_id
        digest = service.resume_digest(tx, context.access, request.person.user_id, digest, context.now)
        sentence = f"You resumed digest {digest.id}."
        if digest.owner_id != owner_id:
            sentence += " " + answers.BECAME_OWNER
        return _confirm(tx, context, request, sentence, digest)


def _remove(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = drafts.parse_id(word, "digest remove ID")
    with context.write() as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        service.remove(tx, context.access, digest, context.now)
        description = answers.render_description(digest, summarize(digest))
        return _show(tx, context, request, text_message(f"You removed digest {digest.id}.\n{description}"))


def _edit(context: Context, request: Command | Press, word: str) -> Response:
    digest = service.get_manageable_digest(
        context.connection,
        context.access,
        drafts.parse_id(word, "digest edit ID"),
        context.now,
        here=request.channel_id,
    )
    service.check_may_change(context.access)
    digest_form.require_trigger(request)
    return digest_form.open_existing(context, digest, request)


def _preview(context: Context, request: Command | Press, word: str) -> Response:
    digest = service.get_manageable_digest(
        context.connection,
        context.access,
        drafts.parse_id(word, "digest preview ID"),
        context.now,
        here=request.channel_id,
    )
    page = _render_page(context, digest, None, 0)
    if isinstance(request, Press) and request.surface == "modal":
        return OpenForm(forms.render_window(page, title=_PREVIEW))
    return Answer(page)


def _show(connection: Connection, context: Context, request: Command | Press, message: Message) -> Response:
    """What was done with a digest: above the page of the window that has the button, or as a message."""
    if isinstance(request, Press) and redraw.is_in_window(request):
        return redraw.show_change(connection, context, request, message)
    return Answer(message)


def _confirm(
    connection: Connection, context: Context, request: Command | Press, sentence: str, digest: DigestRow
) -> Response:
    """The digest with its next times and its buttons."""
    times: list[datetime] = []
    if not digest.date_paused:
        times = service.list_next_times(parse_cron(digest.cron), ZoneInfo(digest.zone), context.now)
    may_change = context.access.manages_digests
    shown = answers.render_saved(sentence, digest, summarize(digest), Notes(times), may_change=may_change)
    return _show(connection, context, request, shown)


_VERBS: Mapping[str, Callable[[Context, Command, str], Response]] = {
    "add": _add,
    "me": personal_digest.handle_me,
    "list": _list,
    "now": _fire_now,
    "pause": _pause,
    "resume": _resume,
    "edit": _edit,
    "remove": _remove,
    "preview": _preview,
}
_OF_ONE = _VERBS.keys() - {"add", "list", "me"}  # those that the number of a digest follows


def handle_preview_press(context: Context, request: Press) -> Response:
    """`Preview`."""
    return _preview(context, request, request.value)


def handle_pause_press(context: Context, request: Press) -> Response:
    """`Pause`."""
    return _pause(context, request, request.value)


def handle_resume_press(context: Context, request: Press) -> Response:
    """`Resume`."""
    return _resume(context, request, request.value)


def handle_edit_press(context: Context, request: Press) -> Response:
    """`Edit`: the form, filled in."""
    return _edit(context, request, request.value)


def handle_remove_press(context: Context, request: Press) -> Response:
    """`Remove`."""
    return _remove(context, request, request.value)


# --- reading -----------------------------------------------------------------------------------------------


def turn_page(context: Context, request: Press) -> Response:
    """`Previous` and `Next`: the page, as of now, takes the place of the one before, for all who read it."""
    digest_id, fire_id, number = messages.parse_position(request.value)
    if fire_id is None:
        digest = service.get_manageable_digest(
            context.connection, context.access, digest_id, context.now, here=request.channel_id
        )
    else:
        digest = service.get_digest(context.connection, context.access, digest_id)
        # The message shows what its owner let this channel see. Another channel is another audience.
        if digest.channel_id != request.channel_id:
            raise NoSuchDigest(digest_id)
        if not context.may_show_in(digest.channel_id):
            raise SharedChannel
    page = _render_page(context, digest, fire_id, number)
    if request.surface == "modal":
        return UpdateForm(forms.render_window(page, title=_PREVIEW))
    return Answer(page, in_channel=fire_id is not None, replace=True)


def _render_page(context: Context, digest: DigestRow, fire_id: int | None, number: int) -> Message:
    connection: Connection = context.connection
    fire = service.find_fire(connection, digest, fire_id) if fire_id is not None else None
    if fire_id is not None and fire is None:
        raise Refusal("This digest is too old to show its other pages.")
    since = fire.since if fire else digest.last_sent_at or context.now - FIRST_NEWS_PERIOD
    missed = fire.missed if fire else None
    try:
        access = content.get_owner_access(connection, digest)
        scope = content.resolve_digest_scope(connection, access, digest, context.now)
        shown = content.load_content(
            connection, scope, digest, since=since, as_of=context.now, number=number, missed=missed
        )
    except AccessLost as lost:
        raise Refusal(f"Digest {digest.id} cannot be shown. {lost.reason}") from None
    except IncidentsSwitchedOff:
        raise Refusal("Incidents are switched off.") from None
    picture = Picture(fire.file_id, fire.picture_says or "") if fire and fire.file_id else None
    return messages.render_digest(shown, summarize(digest), fire_id=fire_id, picture=picture, preview=fire is None)


HANDLES = (
    Verb(
        name="digest",
        usage='digest [add "schedule" [tz:zone] [empty:skip] [picture:no] [list filters]|me "schedule"|list|now ID'
        "|pause ID|resume ID|edit ID|remove ID]",
        summary="Sends a report of open incidents to this channel on a schedule, in words or as cron. Times are in your"
        " time zone, unless `tz:` names another. `digest` alone opens a form. `digest me` is for you alone: what is"
        " yours, what mentions you and what changed, by direct message; the word `me` takes the place of its number.",
        examples=(
            'digest add "weekdays at 9"',
            'digest add "0 9 * * 1-5" tz:Europe/Berlin critical team:payments',
            'digest me "weekdays at 9"',
            "digest list",
            "digest now 3",
        ),
        group=Group.DIGEST,
        synonyms=("schedule", "summary"),
        command=handle_command,
        buttons={
            "digest_preview": handle_preview_press,  # Preview
            "digest_pause": handle_pause_press,  # Pause
            "digest_resume": handle_resume_press,  # Resume
            "digest_edit": handle_edit_press,  # Edit
            "digest_remove": handle_remove_press,  # Remove
            "digest_previous": turn_page,  # Previous
            "digest_next": turn_page,  # Next
        },
    ),
)

"""`digest`: making, keeping and reading digests of open incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.digests import content, schedule_text, service, zones
from bot.digests.content import FIRST_NEWS, Lost, SwitchedOff
from bot.digests.schedule import USAGE as ADD_FORM
from bot.digests.schedule import parse_cron
from bot.digests.service import Draft
from bot.digests.summary import filters_text, summarize
from bot.handlers.context import Context
from bot.handlers.verb import Verb
from bot.incidents.errors import BadWords, Refusal, SharedChannel
from bot.incidents.markup import clean, readable
from bot.incidents.words import find_closest, shorten, split_first_word
from bot.messages import digest as messages
from bot.messages import digest_form as form
from bot.messages import forms
from bot.messages.blocks import Message, text_message
from bot.messages.digest import Notes, Picture
from bot.messages.help import Group
from bot.people.channels import Channel
from bot.slack.requests import Command, Origin, Press, Submission
from bot.slack.responses import Answer, Done, FormErrors, OpenForm, Response
from storage.digest_rows import DigestRow
from storage.queries import digest_fires
from storage.queries import digests as queries

T = TypeVar("T")

LIST_USAGE = "digest list"
_LARGEST_ID = 2**63 - 1


def handle_command(context: Context, request: Command, line: str) -> Response:
    """`digest [add|list|now|pause|resume|edit|remove|preview]`; nothing behind it opens the form."""
    verb, rest = split_first_word(readable(clean(line)))
    if not verb:
        return _open(context, request)
    doing = _VERBS.get(verb)
    if doing is None:
        meant = find_closest(verb, _VERBS)
        hint = f"Did you mean `digest {meant}`?" if meant else f"There are {', '.join(_VERBS)}."
        raise BadWords(f"There is no `digest {shorten(verb)}`. {hint}", ADD_FORM)
    return doing(context, request, rest)


# --- making ------------------------------------------------------------------------------------------------


def _add(context: Context, request: Command, rest: str) -> Response:
    service.check_role(context.access)
    draft = service.parse_draft(rest, context.access.timezone)
    service.check_draft(context.connection, context.access, draft, context.now)
    channel = _get_channel(context, request.channel_id or "")
    notes = _build_notes(context, draft, channel)
    with context.write(once=request.key) as tx:
        digest = service.create(tx, context.access, request.person.user_id, channel.id, draft, context.now)
    return Answer(messages.render_saved("You have made digest", digest, summarize(digest), notes))


def _get_channel(context: Context, channel_id: str) -> Channel:
    """The channel, when a digest may be posted there. Raises Refusal."""
    channel = context.channels().to_post_in(context.access.workspace_id, channel_id)
    if channel.shared:
        service.refuse_shared(context.access, channel.name)
    return channel


def _build_notes(context: Context, draft: Draft, channel: Channel | None) -> Notes:
    """What whoever makes this digest should know."""
    times = service.next_times(draft.schedule, draft.zone, context.now)
    projects = service.audience(context.connection, context.access, draft, context.now)
    return Notes(
        [messages.format_time(moment, draft.zone.key) for moment in times],
        messages.render_audience(channel.name, channel.private, projects) if channel and projects else None,
        service.frequency_warning(draft.schedule, draft.zone, context.now),
    )


def _open(context: Context, request: Command) -> Response:
    service.check_role(context.access)
    _require_trigger(request)
    here = request.channel_id if request.channel_id and request.channel_id[0] in "CG" else None
    return OpenForm(
        form.render_form(
            "New digest",
            "Make it",
            Origin(r=request.response_url).to_metadata(),
            channel_id=here,
            schedule="weekdays at 9",
            zone=context.access.timezone,
            filters="",
            skip_empty=False,
            picture=True,
        )
    )


def _require_trigger(request: Command | Press) -> None:
    """Slack opens forms for slash commands and buttons, and not for what is said in a message."""
    if isinstance(request, Command) and request.in_message:
        raise BadWords("A form opens only from the slash command. In a message, say all of it:", ADD_FORM)


def _edit_form(context: Context, digest: DigestRow, response_url: str | None) -> Response:
    if not context.access.manages_digests and digest.owner_id != context.access.member_id:
        raise service.MayNotManageDigests
    schedule = parse_cron(digest.cron)
    spoken = schedule_text.describe(schedule)
    try:
        speakable = schedule_text.parse_schedule(spoken) == schedule
    except BadWords:
        speakable = False
    return OpenForm(
        form.render_form(
            f"Digest {digest.id}",
            "Save",
            Origin(d=digest.id, r=response_url).to_metadata(),
            channel_id=digest.channel_id,
            schedule=spoken if speakable else digest.cron,
            zone=digest.zone,
            filters=filters_text(digest.filters),
            skip_empty=digest.skip_empty,
            picture=digest.picture,
        )
    )


@dataclass(frozen=True, slots=True)
class _FormValues:
    """What stands in the form."""

    channel_id: str
    draft: Draft


def _read_form(values: Mapping[str, Mapping[str, Any]]) -> _FormValues | FormErrors:
    """The form's fields, or what is wrong with each of them."""

    def text(block_id: str) -> str:
        return clean(str(values.get(block_id, {}).get("value") or ""))

    errors: dict[str, str] = {}

    def read(block_id: str, reader: Callable[[], T]) -> T | None:
        try:
            return reader()
        except BadWords as mistake:
            errors[block_id] = mistake.sentence
            return None

    schedule = read(form.SCHEDULE, lambda: schedule_text.parse_schedule(text(form.SCHEDULE)))
    zone = read(form.ZONE, lambda: zones.parse_zone(text(form.ZONE), ADD_FORM))
    query = read(form.FILTERS, lambda: service.parse_filters(text(form.FILTERS)))
    channel_id = values.get(form.CHANNEL, {}).get("selected_conversation")
    if not channel_id:
        errors[form.CHANNEL] = "In which channel?"
    if schedule is None or zone is None or query is None or not channel_id:
        return FormErrors(errors)
    empty = (values.get(form.EMPTY, {}).get("selected_option") or {}).get("value")
    pictured = bool(values.get(form.PICTURE, {}).get("selected_options"))
    return _FormValues(str(channel_id), Draft(schedule, zone, query, skip_empty=empty == "skip", picture=pictured))


def handle_submission(context: Context, request: Submission) -> Response:
    """The form, sent off."""
    service.check_role(context.access)
    filled = _read_form(request.values)
    if isinstance(filled, FormErrors):
        return filled
    draft = filled.draft
    changed = None
    if "d" in request.origin:
        changed = service.get_manageable_digest(
            context.connection, context.access, _number(str(request.origin["d"])), context.now, here=None
        )
    try:
        service.check_draft(context.connection, context.access, draft, context.now)
    except BadWords as mistake:
        return FormErrors({form.FILTERS: mistake.sentence})
    try:
        channel = _get_channel(context, filled.channel_id)
    except Refusal as refusal:
        return FormErrors({form.CHANNEL: refusal.sentence})
    notes = _build_notes(context, draft, channel)
    user_id = request.person.user_id
    with context.write(once=request.key) as tx:
        if changed:
            # Looked at again under its lock: it may have become somebody else's meanwhile.
            digest = service.get_manageable_digest(tx, context.access, changed.id, context.now, here=None, lock=True)
            digest = service.change(tx, context.access, user_id, digest, channel.id, draft, context.now)
        else:
            digest = service.create(tx, context.access, user_id, channel.id, draft, context.now)
    sentence = "You have changed digest" if changed else "You have made digest"
    to = request.origin.get("r")
    return Done(Answer(messages.render_saved(sentence, digest, summarize(digest), notes), to=str(to)) if to else None)


def preview_form(context: Context, request: Press) -> Response:
    """`Preview` in the form: on top of it, what is wrong with it or what it would say now."""
    state = ((request.view or {}).get("state") or {}).get("values") or {}
    try:
        service.check_role(context.access)
        filled = _read_form({block: next(iter(elements.values()), {}) for block, elements in state.items()})
        if isinstance(filled, FormErrors):
            return OpenForm(forms.render_error(" ".join(filled.errors.values())))
        draft = filled.draft
        service.check_draft(context.connection, context.access, draft, context.now)
        channel = _get_channel(context, filled.channel_id)
    except Refusal as refusal:
        return OpenForm(forms.render_error(refusal.sentence))
    notes = _build_notes(context, draft, channel)
    scope = content.scope_of(context.connection, context.access, draft.query, context.now)
    sketch = _unsaved_digest(context, channel.id, draft)
    since = context.now - FIRST_NEWS
    shown = content.compose(context.connection, scope, sketch, since=since, as_of=context.now)
    spoken = summarize(sketch)
    return OpenForm(form.render_preview(spoken, notes, messages.render_digest(shown, spoken, fire_id=None)))


def _unsaved_digest(context: Context, channel_id: str, draft: Draft) -> DigestRow:
    """A digest that is not stored yet."""
    columns = draft.columns()
    return DigestRow(
        id=0,
        organization_id=context.access.organization_id,
        workspace_id=context.access.workspace_id,
        channel_id=channel_id,
        owner_id=context.access.member_id,
        owner_user_id=None,
        owner=context.access.name,
        name=None,
        **columns,
        grace_minutes=service.DEFAULT_GRACE_MINUTES,
        next_fire_at=draft.schedule.next(context.now, draft.zone),
        last_fire_at=None,
        date_paused=None,
        pause_reason=None,
    )


# --- keeping -----------------------------------------------------------------------------------------------


def _list(context: Context, request: Command, _rest: str) -> Response:
    rows = queries.list_digests(
        context.connection,
        context.access.organization_id,
        request.channel_id,
        context.access.member_id,
        messages.MOST_LISTED + 1,
    )
    drawn = [
        (row, summarize(row), last, service.may_manage(context.connection, context.access, row, context.now))
        for row, last in rows
    ]
    return Answer(messages.render_list(drawn, request.channel_id, context.services.command))


def _number(word: str, form_: str = LIST_USAGE) -> int:
    digits = word.strip().removeprefix("#")
    if not digits:
        raise BadWords("Which digest? Its number is missing; `digest list` shows it.", form_)
    if not (digits.isascii() and digits.isdigit()):
        raise BadWords(f"“{shorten(word)}” is not the number of a digest; `digest list` shows it.", form_)
    return min(int(digits[:20]), _LARGEST_ID)


def _fire_now(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = _number(word, "digest now ID")
    with context.write(once=request.key) as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        service.fire_now(tx, digest, context.now)
    return Answer(
        text_message(f"Digest {digest.id} is on its way to <#{digest.channel_id}>. Its schedule stays as it is.")
    )


def _pause(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = _number(word, "digest pause ID")
    with context.write() as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        if digest.date_paused:
            return _confirm(context, "Paused already is digest", digest)
        digest = service.pause(tx, context.access, digest, context.now)
    return _confirm(context, "You have paused digest", digest)


def _resume(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = _number(word, "digest resume ID")
    digest = service.get_manageable_digest(
        context.connection, context.access, digest_id, context.now, here=request.channel_id
    )
    if not digest.date_paused:
        return _confirm(context, "Running already is digest", digest)
    _get_channel(context, digest.channel_id)
    with context.write() as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        digest = service.resume(tx, context.access, request.person.user_id, digest, context.now)
    return _confirm(context, "You have resumed digest", digest)


def _remove(context: Context, request: Command | Press, word: str) -> Response:
    digest_id = _number(word, "digest remove ID")
    with context.write() as tx:
        digest = service.get_manageable_digest(
            tx, context.access, digest_id, context.now, here=request.channel_id, lock=True
        )
        queries.delete_digest(tx, digest.id)
    spoken = summarize(digest)
    sentence = f"You have removed digest {digest.id}: {spoken.when} in <#{digest.channel_id}>{spoken.what}."
    return Answer(text_message(sentence))


def _edit(context: Context, request: Command | Press, word: str) -> Response:
    digest = service.get_manageable_digest(
        context.connection, context.access, _number(word, "digest edit ID"), context.now, here=request.channel_id
    )
    _require_trigger(request)
    return _edit_form(context, digest, request.response_url)


def _preview(context: Context, request: Command | Press, word: str) -> Response:
    digest = service.get_manageable_digest(
        context.connection, context.access, _number(word, "digest preview ID"), context.now, here=request.channel_id
    )
    return Answer(_render_page(context, digest, None, 0))


def _confirm(context: Context, sentence: str, digest: DigestRow) -> Answer:
    """The digest with its next times and its buttons."""
    times: list[str] = []
    if not digest.date_paused:
        zone = ZoneInfo(digest.zone)
        times = [
            messages.format_time(moment, digest.zone)
            for moment in service.next_times(parse_cron(digest.cron), zone, context.now)
        ]
    return Answer(messages.render_saved(sentence, digest, summarize(digest), Notes(times)))


_VERBS: Mapping[str, Callable[[Context, Command, str], Response]] = {
    "add": _add,
    "list": _list,
    "now": _fire_now,
    "pause": _pause,
    "resume": _resume,
    "edit": _edit,
    "remove": _remove,
    "preview": _preview,
}


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
            raise service.NoSuchDigest(digest_id)
        if not context.may_show_in(digest.channel_id):
            raise SharedChannel
    return Answer(_render_page(context, digest, fire_id, number), in_channel=fire_id is not None, replace=True)


def _render_page(context: Context, digest: DigestRow, fire_id: int | None, number: int) -> Message:
    connection: Connection = context.connection
    fire = digest_fires.find_fire(connection, digest.id, fire_id) if fire_id is not None else None
    if fire_id is not None and fire is None:
        raise Refusal("That digest is so old that its pages can no longer be turned.")
    since = fire.since if fire else digest.last_fire_at or context.now - FIRST_NEWS
    try:
        access = content.owner_access(connection, digest)
        scope = content.scope_of_digest(connection, access, digest, context.now)
        shown = content.compose(connection, scope, digest, since=since, as_of=context.now, number=number)
    except Lost as lost:
        raise Refusal(f"Digest {digest.id} can no longer be shown. {lost.reason}") from None
    except SwitchedOff:
        raise Refusal("Incidents are switched off.") from None
    picture = Picture(fire.file_id, fire.picture_says or "") if fire and fire.file_id else None
    return messages.render_digest(shown, summarize(digest), fire_id=fire_id, picture=picture, preview=fire is None)


HANDLES = (
    Verb(
        name="digest",
        usage='digest [add "schedule" [tz:zone] [empty:skip] [picture:no] [list filters]|list|now ID|pause ID'
        "|resume ID|edit ID|remove ID]",
        summary="Tells this channel what is open, when it is time. Alone it opens a form. A schedule is said in words"
        " or written as cron, and keeps to the clock of its zone: yours, unless `tz:` names another.",
        examples=(
            'digest add "weekdays at 9"',
            'digest add "0 9 * * 1-5" tz:Europe/Berlin critical team:payments',
            "digest list",
            "digest now 3",
        ),
        group=Group.DIGEST,
        synonyms=("schedule", "summary"),
        command=handle_command,
        buttons={
            "digest_preview": handle_preview_press,  # Preview
            "digest_form_preview": preview_form,  # Preview, in the form
            "digest_pause": handle_pause_press,  # Pause
            "digest_resume": handle_resume_press,  # Resume
            "digest_edit": handle_edit_press,  # Edit
            "digest_remove": handle_remove_press,  # Remove
            "digest_previous": turn_page,  # Previous
            "digest_next": turn_page,  # Next
        },
        forms={"digest": handle_submission},
    ),
)

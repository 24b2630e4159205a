"""Converts Slack's texts and blocks to the plain text that its clients show.

Pure functions over payloads, for tests of the text that a person sees. Names, time and zone are passed in;
nothing here uses a workspace. Controls (buttons, menus, fields) are left out, except for the label of a
field.

Source: docs.slack.dev/messaging/formatting-message-text (mrkdwn, mentions, links, dates, escaping) and
docs.slack.dev/reference/block-kit/blocks/rich-text-block (rich text and the tokens of dates).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

# fmt: off
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)
# fmt: on
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_ZERO_WIDTH_SPACE = "\u200b"  # nobody sees it

# The year is left out of a date that is less than six months away.
_NEAR = timedelta(days=183)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The reader of a text: the names shown to them, their time zone, and the time of reading."""

    names: Mapping[str, str]
    zone: tzinfo
    now: datetime | None

    def name(self, identifier: str, label: str = "") -> str:
        """The name of a person, user group or channel, else the sender's label, else the identifier."""
        return self.names.get(identifier, "") or label or identifier


def seen_text(shown: object, names: Mapping[str, str], *, zone: tzinfo = UTC, now: datetime | None = None) -> str:
    """The text that a person reads in a text object, a block, a view, a message, or a list of these, line by line.

    `shown` is a string of mrkdwn, a text object, a block, an element of rich text, or a message (`blocks`,
    else `text`, then `attachments`). `names` gives the names of people, the handles of user groups and the
    names of channels by their ids, without `@` and `#`. Dates are formatted in `zone`; with `now` also as
    "today" or "5 minutes ago" where their format asks for that. Emoji stay `:names:`. Any other value gives an
    empty text.
    """
    return _read(shown, _Reader(names, zone, now)).replace(_ZERO_WIDTH_SPACE, "")


def _read(shown: object, reader: _Reader, between: str = "\n") -> str:
    if isinstance(shown, str):
        return _mrkdwn(shown, reader)
    if isinstance(shown, Sequence):
        return between.join(filter(None, (_read(one, reader) for one in shown)))
    if not isinstance(shown, Mapping):
        return ""
    kind = shown.get("type")
    if isinstance(kind, str) and kind != "message":
        if (special := _SPECIAL.get(kind)) is not None:
            return special(shown, reader)
        return _read([shown.get(name) for name in _READ_IN.get(kind, ())], reader)
    return _read([shown.get("blocks") or shown.get("text"), shown.get("attachments")], reader)


# ---- mrkdwn

# A control sequence is anything between angle brackets that are not escaped.
_CONTROL = re.compile(r"[\ue000\ue001]|<([^<>]*)>")
_CODE = re.compile(r"```\n?(.+?)\n?```|`(?!\u200b)([^`\n]+)(?<!\u200b)`", re.DOTALL)
_QUOTE = re.compile(r"^(?:(?:>|&gt;){3}|>|&gt;) ?", re.MULTILINE)
# A marker is valid at a word boundary, around text that neither begins nor ends with a space, within one line.
# A zero-width space is a space here too: apps use it to show these characters as they are.
_MARKERS = [
    re.compile(
        rf"(?<![^\W_]){re.escape(mark)}([^\s\u200b{mark}](?:[^\n{mark}]*[^\s\u200b{mark}])?){re.escape(mark)}(?![^\W_])"
    )
    for mark in "*_~"
]


def _unescaped(words: str) -> str:
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _mrkdwn(words: str, reader: _Reader) -> str:
    """mrkdwn without its markup.

    Each mention, link and piece of code is replaced by one private-use character while markers are removed,
    because a marker character in a name or in code is not a marker. Then they are put back in their order.
    """
    controls: list[str] = []
    codes: list[str] = []

    def set_control_aside(match: re.Match[str]) -> str:
        controls.append(match[0] if match[1] is None else _control(match[1], reader))
        return "\ue000"

    def set_code_aside(match: re.Match[str]) -> str:
        codes.append(match[1] or match[2])
        return "\ue001"

    words = _CONTROL.sub(set_control_aside, words)
    words = _CODE.sub(set_code_aside, words)
    words = _QUOTE.sub("", words)
    for marker in _MARKERS:
        words = marker.sub(r"\1", words)
    waiting_codes, waiting_controls = iter(codes), iter(controls)
    words = re.sub("\ue001", lambda _: next(waiting_codes), words)
    return re.sub("\ue000", lambda _: next(waiting_controls), _unescaped(words))


def _control(inside: str, reader: _Reader) -> str:
    """The text shown for `<inside>`."""
    target, _, label = inside.partition("|")
    label = _unescaped(label)
    if target.startswith("@"):
        return "@" + reader.name(target[1:], label).removeprefix("@")
    if target.startswith("#"):
        return "#" + reader.name(target[1:], label).removeprefix("#")
    if target.startswith("!"):
        return _special_mention(target[1:], label, reader)
    return label or _unescaped(target.removeprefix("mailto:"))


def _special_mention(target: str, label: str, reader: _Reader) -> str:
    if target in ("here", "channel", "everyone", "group"):
        return f"@{target}"
    kind, *rest = target.split("^")
    if kind == "subteam" and rest:
        return "@" + reader.name(rest[0], label.removeprefix("@")).removeprefix("@")
    if kind == "date" and len(rest) >= 2:
        return _date(rest[0], _unescaped(rest[1]), label, reader)
    return label or f"<{target}>"


# ---- dates


def _date(timestamp: object, template: str, fallback: str, reader: _Reader) -> str:
    """A time formatted by a template such as `{date_short} at {time}`; `fallback` when it is not a valid time."""
    try:
        moment = datetime.fromtimestamp(int(str(timestamp)), UTC).astimezone(reader.zone)
    except (ValueError, OverflowError, OSError):
        return fallback
    now = None if reader.now is None else reader.now.astimezone(reader.zone)

    def render(match: re.Match[str]) -> str:
        token = match[1]
        if token == "ago":
            return fallback if now is None else _ago(now - moment)
        pretty = token.endswith("_pretty")
        draw = _DATE_TOKENS.get(token.removesuffix("_pretty"))
        if draw is None:
            return match[0]
        return (pretty and now is not None and _near_day(moment, now)) or draw(moment, now)

    return re.sub(r"\{(\w+)\}", render, template)


def _near_day(moment: datetime, now: datetime) -> str:
    return {0: "today", -1: "yesterday", 1: "tomorrow"}.get((moment.date() - now.date()).days, "")


def _year(moment: datetime, now: datetime | None) -> str:
    return "" if now is not None and abs(moment - now) < _NEAR else f", {moment.year}"


def _ordinal(day: int) -> str:
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _month_and_day(moment: datetime, now: datetime | None) -> str:
    return f"{_MONTHS[moment.month - 1]} {_ordinal(moment.day)}{_year(moment, now)}"


def _long(moment: datetime, now: datetime | None) -> str:
    return f"{_DAYS[moment.weekday()]}, {_month_and_day(moment, now)}"


def _clock(moment: datetime, seconds: str = "") -> str:
    return f"{moment.hour % 12 or 12}:{moment.minute:02}{seconds} {'AM' if moment.hour < 12 else 'PM'}"


_DATE_TOKENS: dict[str, Callable[[datetime, datetime | None], str]] = {
    "date_num": lambda moment, _: f"{moment:%Y-%m-%d}",
    "date_slash": lambda moment, _: f"{moment:%d/%m/%Y}",
    "date": _month_and_day,
    "date_short": lambda moment, now: f"{_MONTHS[moment.month - 1][:3]} {moment.day}{_year(moment, now)}",
    "date_long": _long,
    "date_long_full": lambda moment, _: f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year}",
    "day_divider": _long,
    "time": lambda moment, _: _clock(moment),
    "time_secs": lambda moment, _: _clock(moment, f":{moment.second:02}"),
}


def _ago(passed: timedelta) -> str:
    seconds = abs(int(passed.total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds >= length:
            count = seconds // length
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if passed > timedelta() else f"in {words}"
    return "now"


# ---- rich text


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _link(part: Mapping[str, object], _: _Reader) -> str:
    return _text(part.get("text")) or _text(part.get("url"))


def _rich_date(part: Mapping[str, object], reader: _Reader) -> str:
    return _date(part.get("timestamp"), _text(part.get("format")), _text(part.get("fallback")), reader)


def _mention(sign: str, field: str) -> Callable[[Mapping[str, object], _Reader], str]:
    return lambda part, reader: sign + reader.name(_text(part.get(field))).removeprefix(sign)


def _inline(section: Mapping[str, object], reader: _Reader) -> str:
    """The parts of a section, joined; the line break that ends it stands for the next line."""
    parts = section.get("elements")
    words = [_read(part, reader) for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    return "".join(words).removesuffix("\n")


def _list(block: Mapping[str, object], reader: _Reader) -> str:
    items, indent, offset = block.get("elements"), block.get("indent"), block.get("offset")
    margin = "    " * (indent if isinstance(indent, int) else 0)
    first = (offset if isinstance(offset, int) else 0) + 1
    ordered = block.get("style") == "ordered"
    return "\n".join(
        f"{margin}{f'{number}.' if ordered else '•'} {_read(item, reader)}"
        for number, item in enumerate(items if isinstance(items, list) else [], first)
    )


# ---- blocks


def _plain_text(text: Mapping[str, object], _: _Reader) -> str:
    return _unescaped(_text(text.get("text")))


def _as_written(field: str) -> Callable[[Mapping[str, object], _Reader], str]:
    return lambda shown, _: _text(shown.get(field))


def _context(block: Mapping[str, object], reader: _Reader) -> str:
    return _read(block.get("elements"), reader, between=" ")


def _rows(block: Mapping[str, object], reader: _Reader) -> str:
    """A table: one line for each row, with cells separated by tabs."""
    rows = block.get("rows")
    cells = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return "\n".join("\t".join(_read(cell, reader) for cell in row) for row in cells)


def _task(task: Mapping[str, object], reader: _Reader) -> str:
    return "\n".join(filter(None, (_text(task.get("title")), _read([task.get("details"), task.get("output")], reader))))


def _plan(plan: Mapping[str, object], reader: _Reader) -> str:
    tasks = plan.get("tasks")
    inside = [_task(task, reader) for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []
    return "\n".join([_text(plan.get("title")), *inside])


def _image(image: Mapping[str, object], reader: _Reader) -> str:
    return _read(image.get("title"), reader) or _text(image.get("alt_text"))


_SPECIAL: dict[str, Callable[[Mapping[str, object], _Reader], str]] = {
    "plain_text": _plain_text,
    "mrkdwn": lambda text, reader: _mrkdwn(_text(text.get("text")), reader),
    "raw_text": _as_written("text"),
    "raw_number": _as_written("text"),
    "text": _as_written("text"),
    "tag": _as_written("text"),
    "color": _as_written("value"),
    "markdown": _as_written("text"),
    "link": _link,
    "date": _rich_date,
    "user": _mention("@", "user_id"),
    "usergroup": _mention("@", "usergroup_id"),
    "team": _mention("@", "team_id"),
    "broadcast": _mention("@", "range"),
    "channel": _mention("#", "channel_id"),
    "emoji": lambda part, _: f":{_text(part.get('name'))}:",
    "rich_text_section": _inline,
    "rich_text_quote": _inline,
    "rich_text_preformatted": _inline,
    "rich_text_list": _list,
    "context": _context,
    "image": _image,
    "task_card": _task,
    "plan": _plan,
    "data_visualization": _as_written("title"),
    "table": _rows,
    "data_table": _rows,
}

# The visible text of a block, in display order.
_READ_IN: dict[str, tuple[str, ...]] = {
    "header": ("text",),
    "section": ("text", "fields"),
    "input": ("label", "hint"),
    "rich_text": ("elements",),
    "alert": ("text",),
    "video": ("title", "description"),
    "card": ("title", "subtitle", "body", "subtext"),
    "carousel": ("elements",),
    "container": ("rich_text_title", "title", "subtitle", "child_blocks"),
    "modal": ("title", "blocks"),
    "home": ("blocks",),
}

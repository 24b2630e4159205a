"""Whatever is typed, pressed, chosen or sent in: it is answered in Slack's form, nothing breaks, nobody learns or
changes what is not theirs.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from bot.handlers.verb import Registry
from tests.hardening.conftest import cases
from tests.hardening.facts import changed, facts
from tests.hardening.rig import Got, Json, Rig, Shown, Somebody
from tests.stories.conftest import ORGANIZATION

ADA, BEN, EVE = Somebody("U0001"), Somebody("U0002"), Somebody("U0006")
DAN = Somebody("U0004")
FAY = Somebody("U0010")  # no member, and asks to be let in
SECRET = "qzsecretx"  # in everything of #2, which only Ada and Dan of these may see
# As many log entries as a page and a database take without getting slow.
MOST_ROWS = 400

WRITES = {
    "ack",
    "acknowledge",
    "seen",
    "resolve",
    "reopen",
    "severity",
    "comment",
    "subscribe",
    "unsubscribe",
    "take",
    "release",
}


def prepared(rig: Rig) -> None:
    """An incident of Ben's team (#1), of an alert, and one that he does not see (#2), each with a comment."""
    rig.forges_ids = True
    if 0 < sum(map(len, rig.known.values())) < MOST_ROWS:
        return
    rig.clean()
    rig.apply(ORGANIZATION)
    rig.command(DAN, "declare project:checkout Pay")
    rig.command(DAN, f"declare project:catalogue {SECRET}")
    rig.command(DAN, "comment 1 by Dan")
    rig.command(DAN, f"comment 2 {SECRET}")
    for who in (ADA, BEN, EVE):
        rig.command(who, "whoami")
    with rig.store.write() as tx:
        tx.exec_driver_sql(
            "UPDATE incident i SET source = 'events', alert_key = 'pay', alert_project_id = ip.project_id"
            " FROM incident_project ip WHERE ip.incident_id = i.id AND i.identifier = 1"
        )
    rig.known = facts(rig.store)


def harmless(rig: Rig, who: Somebody, got: Got, *, may_change: set[int] | None = None, may_open: bool = True) -> None:
    """Who does not see #2 learnt and changed nothing of it, and nothing but what they named is another."""
    before, after = rig.known, facts(rig.store)
    rig.known = after
    different = {number for _, number in changed(before, after)}
    new = {number for _, number in after.keys() - before.keys()}
    assert may_open or not new
    if who != ADA:
        assert SECRET not in got.told
        assert 2 not in different
    if who == EVE:
        assert not different
    if may_change is not None:
        assert different <= may_change | new


# --- words -------------------------------------------------------------------------------------------------

blanks = st.sampled_from([" ", "  ", "\t", "\u00a0", "\n", " \u2003"])
numbers = st.sampled_from(["1", "#1", "2", "#2", "77", "0", "-1", "١", "²", "1e3", "#", "1.", "9" * 30, "0" * 25 + "1"])
pieces = st.one_of(
    numbers,
    st.sampled_from(
        [
            *("warning", "CRITICAL", "open", "closed", "all", "resolved", "none", "mentions", "add", "list", "now"),
            *("project:checkout", "project:catalogue", "team:mine", "team:search,payments", "team:", "env:prod"),
            *("since:7d", "since:2026-11-01", "until:2020-01-01T00:00:00+23:59", "since:9999w", "seen:no", "seen:x"),
            *("following:yes", "tz:Europe/Berlin", "tz:Nowhere/At", '"0 9 * * 1-5"', '"* * * * *"', "“0 0 31 2 *”"),
            *("<@U0001>", "<@U0003|cyn>", "<@U0404>", "<@", "<!subteam^S0001|@payments>", "<!subteam^S0404>"),
            *("<!channel>", "<!here|here>", "<!date^1^{date}|x>", "<#C0001|1>", "<https://x.test/a|b>", "<mailto:a@b>"),
            *("@ben", "@ada", "@payments", "@nobody", "&lt;", "&amp;amp;", "*bold*", "`code`", "```", ">", "|", "~"),
            *('"', "'", "“", "”", "„", "«", "»", "key:", ":", "a:b:c", "http://x", "\x00", "\ud800", "\u202e", "💣"),
        ]
    ),
    st.text(max_size=12),
)
HANDLED = Registry.collect()
verbs = st.sampled_from([*HANDLED.commands, "help", "", "lsit", "#1", "1", "2", "<@U0001>"]).flatmap(
    lambda verb: st.sampled_from([verb, verb.upper(), verb.title(), f'"{verb}"', verb + " "])
)
sentences = st.builds(
    lambda verb, rest, blank: verb + "".join(blank + piece for piece in rest),
    verbs,
    st.lists(pieces, max_size=6),
    blanks,
)


@cases(400, 0.4)
@given(who=st.sampled_from([ADA, BEN, BEN, EVE]), words=st.text(max_size=120) | sentences)
def test_any_words_are_answered_and_only_well_formed_commands_change_anything(
    rig: Rig, who: Somebody, words: str
) -> None:
    prepared(rig)
    got = rig.command(who, words)
    assert got.answer is not None or got.calls
    bare = re.sub(r"[\"'“”„«»‘’]", "", words)
    named = re.match(r"\s*([^\s#0-9]+)\s*#?0*([0-9]{1,18})?", bare)
    verb = named[1].lower() if named else ""
    may_change = {int(named[2])} if named and named[2] and verb in WRITES else set()
    if verb in WRITES and "<#" in words:
        may_change = {1}  # a number that Slack took for a channel
    harmless(rig, who, got, may_change=may_change, may_open=verb == "declare")


@cases(60, 0.05)
@given(who=st.sampled_from([ADA, BEN, EVE]), words=st.text(max_size=60) | sentences, mention=st.booleans())
def test_any_words_said_to_the_bot_are_answered(rig: Rig, who: Somebody, words: str, mention: bool) -> None:
    prepared(rig)
    bot = rig.slack.bot_user_id
    said: Json = {
        "type": "message",
        "channel_type": "im",
        "channel": rig.direct(who),
        "text": words,
        "ts": f"9.{id(words)}",
    }
    if mention:
        said |= {"type": "app_mention", "channel": "C0003", "text": f"<@{bot}> {words}", "channel_type": "channel"}
    got = rig.event(who, said)
    harmless(rig, who, got)


# --- what a client could make up ---------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=8) | numbers,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*"nscrhvqtibpuxe"]), inner, max_size=4)
    ),
    max_leaves=6,
)
places = st.one_of(
    numbers,
    st.text(max_size=20),
    st.builds("{}:{}".format, numbers, numbers | st.integers(0, 50)),
    anything.map(json.dumps),
    st.builds(
        lambda query, when, number, back: json.dumps({"q": query, "t": when, "i": number, "b": back}),
        sentences | st.sampled_from(["all", "open", "project:catalogue", "all team:search"]),
        st.sampled_from(["2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00", "x", "0001-01-01T00:00:00+23:00"]),
        st.integers(-1, 2**65),
        st.booleans() | st.none(),
    ),
)
actions = st.sampled_from([*HANDLED.buttons, "unknown", "", "pick_", "home_tab_", "home_severity_x"])
surfaces = st.sampled_from(["ephemeral", "channel", "modal", "home"])


@cases(250, 0.17)
@given(
    who=st.sampled_from([ADA, BEN, BEN, EVE]),
    kind=surfaces,
    action=actions,
    value=places,
    option=st.booleans(),
    metadata=places,
)
def test_any_press_is_answered_and_shows_and_changes_only_what_is_theirs(
    rig: Rig, who: Somebody, kind: Any, action: str, value: str, option: bool, metadata: str
) -> None:
    prepared(rig)
    body: Json = {"blocks": []}
    if kind in ("modal", "home"):
        body |= {"type": kind, "private_metadata": metadata, "callback_id": action}
    shown = Shown(kind, body, "V1" if kind in ("modal", "home") else "C0001", "1.1")
    chosen = {"type": "static_select", "selected_option": {"value": value}} if option else {"value": value}
    got = rig.press(who, shown, {"action_id": action}, chosen)
    named = re.match(r"\s*#?0*([0-9]{1,18})", value)
    harmless(rig, who, got, may_change={int(named[1])} if named else set())


inline = st.one_of(
    st.builds(lambda said, style: {"type": "text", "text": said, "style": style}, pieces, anything),
    st.builds(
        lambda user: {"type": "user", "user_id": user}, st.sampled_from(["U0001", "U0003", "U0404", ""]) | anything
    ),
    st.builds(
        lambda group: {"type": "usergroup", "usergroup_id": group}, st.sampled_from(["S0001", "S0002"]) | anything
    ),
    st.builds(lambda url, said: {"type": "link", "url": url, "text": said}, pieces, pieces | st.none()),
    st.builds(lambda said: {"type": "broadcast", "range": said}, st.sampled_from(["here", "channel"]) | anything),
    st.builds(lambda when: {"type": "date", "timestamp": when, "format": "{date}"}, anything),
    st.builds(lambda name: {"type": "emoji", "name": name}, pieces),
    anything,
)
containers = st.recursive(
    st.lists(inline, max_size=4),
    lambda inner: st.lists(
        st.builds(
            lambda kind, elements, indent: {"type": kind, "elements": elements, "style": "bullet", "indent": indent},
            st.sampled_from(
                ["rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted", "nonsense"]
            ),
            inner,
            st.integers(-2, 12) | anything,
        ),
        max_size=3,
    ),
    max_leaves=6,
)
element_states = st.one_of(
    st.builds(lambda said: {"type": "plain_text_input", "value": said}, st.none() | pieces | sentences),
    st.builds(
        lambda found: {"type": "rich_text_input", "rich_text_value": {"type": "rich_text", "elements": found}},
        containers,
    ),
    st.builds(lambda value: {"type": "static_select", "selected_option": {"value": value}}, pieces | places),
    st.builds(
        lambda values: {"type": "checkboxes", "selected_options": [{"value": value} for value in values]},
        st.lists(st.sampled_from(["unseen", "following", "x", ""]), max_size=3),
    ),
    st.just({"type": "static_select", "selected_option": None}),
    st.builds(lambda seconds: {"type": "datetimepicker", "selected_date_time": seconds}, st.integers() | pieces),
    st.builds(lambda value: {"type": "conversations_select", "selected_conversation": value}, pieces | st.none()),
    st.just({}),
)
fields = [
    "comment",
    "title",
    "severity",
    "project",
    "team",
    "env",
    "show",
    "since",
    "until",
    "words",
    "only",
    "incident",
]
fields += ["channel", "schedule", "tz", "filters", "when", "name", "x", "for", "labels", "reason"]
origins = st.one_of(
    places,
    st.builds(
        lambda number, kind, more: json.dumps({"n": number, "s": kind, **more}),
        st.integers(0, 3) | numbers,
        surfaces | st.just("message"),
        st.dictionaries(st.sampled_from([*"crhvetux"]), anything | numbers, max_size=3),
    ),
)


def forms(rig: Rig) -> dict[str, Json]:
    """The forms as the bot opens them, by callback_id."""
    if rig.forms:
        return rig.forms
    prepared(rig)
    log = rig.command(DAN, "activity 1").told
    comment = re.search(r'"value": "(1:\d+)"', log)
    assert comment is not None
    team = re.search(r'"value": "(\d+)"', rig.command(DAN, "calls").told)
    assert team is not None
    rig.command(DAN, "take 1")  # only an owner hands it off
    rig.slack.person(FAY.user_id, "Fay New", "fay@elsewhere.test")
    rig.press(FAY, Shown("ephemeral", {}, "C0001", "1.1"), {"action_id": "join_ask"}, {"value": "1"})
    with rig.store.read() as connection:
        asked = connection.exec_driver_sql("SELECT max(id)::text FROM join_request").scalar_one()
    opened = [
        rig.command(DAN, "declare"),
        rig.command(DAN, "digest"),
        rig.command(DAN, "maintenance"),
        rig.command(DAN, "member role cyn@acme.test member"),
        rig.shortcut(DAN, "add_to_incident", {"text": "x", "ts": "1.1", "user": "U0001"}),
        *(
            rig.press(DAN, Shown("ephemeral", {}, "C0001", "1.1"), {"action_id": action}, {"value": value})
            for action, value in (
                ("resolve", "1"),
                ("comment", "1"),
                ("comment_edit", comment[1]),
                ("calls_edit", team[1]),
                ("silence", "1"),
                ("handoff", "1"),
                ("join_add", asked),
                ("list_filter", '{"q":"open"}'),
            )
        ),
    ]
    rig.command(DAN, "release 1")
    rig.known = facts(rig.store)
    views = [sent["view"] for got in opened for name, sent in got.calls if name == "views.open"]
    rig.forms = {view["callback_id"]: view for view in views}
    assert rig.forms.keys() == HANDLED.forms.keys()
    return rig.forms


@cases(250, 0.17)
@given(
    who=st.sampled_from([ADA, BEN, BEN, EVE]),
    callback=st.sampled_from([*HANDLED.forms, "unknown", ""]),
    origin=origins,
    values=st.dictionaries(st.sampled_from(fields), element_states, max_size=6),
    kept=st.booleans(),
)
def test_any_form_is_answered_and_shows_and_changes_only_what_is_theirs(
    rig: Rig, who: Somebody, callback: str, origin: str, values: dict[str, Json], kept: bool
) -> None:
    prepared(rig)
    form = forms(rig).get(callback, {"blocks": [], "private_metadata": ""})
    # The fields are Slack's to keep; what is in them and in the metadata, a client could make up.
    view = {**form, "callback_id": callback, "private_metadata": form["private_metadata"] if kept else origin}
    values = {block["block_id"]: {} for block in form["blocks"] if block["type"] == "input"} | values
    harmless(rig, who, rig.submit(who, view, values))


@cases(60, 0.03)
@given(
    who=st.sampled_from([ADA, BEN, EVE]),
    action=st.sampled_from(["project", "team", "incident", "pick_view", "unknown", ""]) | pieces,
    typed=st.text(max_size=30) | pieces,
)
@example(who=BEN, action="incident", typed="\x00")
@example(who=BEN, action="project", typed="\ud800")
def test_any_search_in_a_menu_finds_only_what_is_theirs(rig: Rig, who: Somebody, action: str, typed: str) -> None:
    prepared(rig)
    got = rig.suggest(who, action, typed)
    assert got.answer is not None and isinstance(got.answer["options"], list)
    if who != ADA:
        assert SECRET not in got.told
    if who == EVE:
        assert got.answer["options"] == []


messages = st.one_of(
    st.builds(lambda said, user: {"text": said, "user": user, "ts": "1.1"}, st.text(max_size=60) | sentences, pieces),
    st.builds(lambda said: {"text": said, "files": [{"permalink": said}], "bot_id": "B1"}, pieces),
    st.dictionaries(st.sampled_from(["text", "ts", "user", "files"]), pieces, max_size=3).map(
        lambda found: {key: value for key, value in found.items() if key != "files"}
    ),
)


@cases(60, 0.03)
@given(
    who=st.sampled_from([ADA, BEN, EVE]),
    callback=st.sampled_from([*HANDLED.shortcuts, "unknown", ""]),
    message=st.none() | messages,
)
def test_any_shortcut_is_answered(rig: Rig, who: Somebody, callback: str, message: Json | None) -> None:
    prepared(rig)
    harmless(rig, who, rig.shortcut(who, callback, message), may_change=set())


events = st.builds(
    lambda kind, channel, ts, thread, subtype, said, more: {
        "type": kind,
        "channel": channel,
        "ts": ts,
        "text": said,
        **({"thread_ts": thread} if thread else {}),
        **({"subtype": subtype} if subtype else {}),
        **more,
    },
    st.sampled_from([*HANDLED.events, "app_home_opened", "app_mention", "user_change", "unknown"]),
    st.sampled_from(["C0001", "C0002", "C0404"]),
    st.sampled_from(["1.1", "2.2", "x"]),
    st.sampled_from([None, "1.1", "3.3"]),
    st.sampled_from([None, None, "message_changed", "message_deleted", "channel_join", "thread_broadcast", "x"]),
    sentences,
    st.fixed_dictionaries(
        {},
        optional={
            "tab": st.sampled_from(["home", "messages"]),
            "view": st.builds(lambda kept: {"private_metadata": kept}, places),
            "reaction": st.sampled_from(["eyes", "white_check_mark", "eyes::skin-tone-2", "x"]),
            "item": st.sampled_from([{"type": "message", "channel": "C0001", "ts": "1.1"}, {"type": "file"}, {}]),
            "message": st.sampled_from([{"ts": "1.1", "text": "x", "user": "U0002", "edited": {"ts": "5.5"}}, {}]),
            "previous_message": st.sampled_from([{"ts": "1.1", "thread_ts": "3.3", "user": "U0002"}, {}]),
            "bot_id": st.just("B1"),
            "channel_type": st.sampled_from(["channel", "group"]),
        },
    ),
)


@cases(60, 0.03)
@given(who=st.sampled_from([ADA, BEN, EVE]), event=events)
def test_any_event_is_taken(rig: Rig, who: Somebody, event: Json) -> None:
    prepared(rig)
    if event["type"] == "user_change":
        event = {**event, "user": {"id": who.user_id}}
    got = rig.event(who, event)
    harmless(rig, who, got)

"""People of two companies at random: whatever they type, press, send in, say in threads or take over from somebody
else, and however the organization changes under them, nobody is shown, told or able to change what is not theirs.

After each step all that reached anybody is read for the words that stand for incidents and comments, and all that the
database knows is compared with what it knew before. The model that says what is whose is in `model`.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from bot.organization.apply import NotApplicable
from sandbox.deliveries import Exchange
from tests.hardening.conftest import cases
from tests.hardening.facts import changed, facts
from tests.hardening.model import Company, Member, Told, companies
from tests.hardening.rig import Got, Json, Rig, Shown, Somebody
from tests.patience import PATIENCE_S

WORD = re.compile(r"qz[ic]\d+x")
STEPS = 40  # of one walk
# Walks in CI, and the share of the cases of a long run, each step of a walk being one.
SHORT, SHARE = 4, 0.1
NAMES = ("ada", "ben", "cyn", "dan", "sue", "eve", "gil", "hal")

names = st.sampled_from(NAMES)
numbers = st.integers(1, 5)
index = st.integers(0, 60)


class Walk(RuleBasedStateMachine):
    """One walk, from an empty database."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self.rig = rig
        self.companies: dict[str, Company] = {}
        self.told: dict[str, Told] = {}  # by word
        self.gone: set[str] = set()  # words of comments that were deleted or rewritten
        self.projects: dict[Told, set[str]] = {}
        self.shown: dict[str, deque[Shown]] = {}
        self.payloads: deque[Json] = deque(maxlen=60)
        self.cards: list[tuple[str, str]] = []  # channel and ts
        self.replies: list[tuple[str, str, str, str, str]] = []  # by whom, channel, ts of card and reply, word
        self.waiting: list[Exchange] = []
        self.member_ids: dict[int, str] = {}
        self.words = 0

    @initialize()
    def begin(self) -> None:
        """Both companies, and an incident in each project."""
        self.rig.clean()
        self.companies = companies()
        self.shown = {name: deque(maxlen=12) for name in NAMES}
        for company in self.companies.values():
            self.applied(company)
        for name, project in (("dan", "checkout"), ("dan", "catalogue"), ("gil", "reactor")):
            self.declare(name, project, "C0003")

    # --- who ---------------------------------------------------------------------------------------------------

    def company(self, name: str) -> Company:
        return next(one for one in self.companies.values() if name in one.members)

    def member(self, name: str) -> Member:
        return self.company(name).members[name]

    def who(self, name: str) -> Somebody:
        return self.member(name).who

    def sees(self, name: str, told: Told) -> bool:
        company = self.company(name)
        return company.slug == told.company and company.sees(name, self.projects.get(told, set()))

    def theirs(self, name: str) -> set[str]:
        """The words that somebody may be shown."""
        return {word for word, told in self.told.items() if self.sees(name, told)}

    def of_channel(self, channel: str) -> set[str]:
        """The words that everybody in a channel may read."""
        found = set()
        for word, told in self.told.items():
            company = self.companies[told.company]
            here = {slug for slug, (_, named) in company.projects.items() if named == channel}
            if company.incidents and here & self.projects.get(told, set()):
                found.add(word)
        return found

    def word(self, kind: str = "c") -> str:
        self.words += 1
        return f"qz{kind}{self.words}x"

    # --- what came of a step -----------------------------------------------------------------------------------

    def after(self, name: str, got: Got, typed: str = "", *, withdraws: bool = False) -> None:
        """Reads all that reached anybody, and compares the database with before."""
        mine = [json.dumps(got.answer), json.dumps(got.posts)]
        mine += [json.dumps(sent) for call, sent in got.calls if call.startswith("views.")]
        said = set(WORD.findall(" ".join(mine))) - set(WORD.findall(typed))
        assert said <= self.theirs(name), (name, said - self.theirs(name))
        assert not said & self.gone, (name, said & self.gone)
        self.remember(name, got)
        self.rest()
        self.compare(name, withdraws=withdraws)

    def remember(self, name: str, got: Got) -> None:
        """Keeps what somebody has in front of them now, to be used."""
        for message in [got.answer, *got.posts]:
            if message and message.get("blocks"):
                self.shown[name].append(Shown("ephemeral", message, "C0003", "1.1"))
            if message and isinstance(message.get("view"), dict):
                self.shown[name].append(Shown("modal", message["view"], self.rig.view_id(self.who(name))))
        for call, sent in got.calls:
            if call.startswith("views."):
                kind: Any = "home" if call == "views.publish" else "modal"
                place = str(sent.get("view_id") or self.rig.view_id(self.who(name)))
                self.shown[name].append(Shown(kind, sent["view"], place))

    def overhear(self) -> None:
        """Reads what was posted to channels and people since the last time."""
        traffic = self.rig.slack.platform.deliveries.traffic
        while traffic:
            self.waiting.append(traffic.popleft())
        done = [one for one in self.waiting if one.answered_at is not None]
        self.waiting = [one for one in self.waiting if one.answered_at is None]
        for one in done:
            if one.kind != "web_api" or not one.name.startswith("chat."):
                continue
            said = set(WORD.findall(json.dumps(one.sent)))
            channel = str(one.sent.get("channel"))
            if one.name == "chat.postEphemeral":
                allowed = self.theirs(self.named(str(one.sent["user"])))
            elif channel.startswith("C"):
                allowed = self.of_channel(channel)
                if (
                    one.name == "chat.postMessage"
                    and one.answer
                    and one.answer.get("ok")
                    and "thread_ts" not in one.sent
                ):
                    self.cards.append((channel, str(one.answer["ts"])))
            else:
                allowed = self.theirs(self.named(channel))
            assert said <= allowed, (one.name, channel, said - allowed)

    def named(self, place: str) -> str:
        """Whose direct message or id it is."""
        found = self.rig.slack.platform.workspace.channels.get(place)
        user_id = found.user_id if found is not None else place
        return next(name for name in NAMES if self.who(name).user_id == user_id)

    def compare(self, name: str, *, withdraws: bool) -> None:
        """What the database knows now, against before: only what is theirs is another."""
        before, after = self.rig.known, facts(self.rig.store)
        self.rig.known = after
        actor = self.member(name)
        for slug, number in changed(before, after):
            told = Told(slug, number)
            old, new = before.get((slug, number), frozenset()), after.get((slug, number), frozenset())
            assert new, "no incident ever goes"
            if not old:
                assert self.sees(name, told), (name, told)
            kept = {(fact.kind, fact.row_id): fact for fact in old}
            for fact in new - old:
                if fact.kind == "follows":
                    assert self.sees(self.member_ids[fact.member_id or 0], told), (fact, told)
                    continue
                assert withdraws or self.sees(name, told), (name, told, fact)
                if fact.kind in ("seen", "log"):
                    author = self.member_ids[(kept.get((fact.kind, fact.row_id)) or fact).member_id or 0]
                    assert author == name or (actor.superuser and fact.kind == "log"), (name, author, fact)
            gone = {(fact.kind, fact.row_id) for fact in old} - {(fact.kind, fact.row_id) for fact in new}
            assert {kind for kind, _ in gone} <= {"follows"}, gone

    # --- what people do ----------------------------------------------------------------------------------------

    def declare(self, name: str, project: str, channel: str) -> None:
        word = self.word("i")
        words = f"declare project:{project} {word}" if project else f"declare {word}"
        before = set(self.rig.known)
        got = self.rig.command(self.who(name), words, channel)
        self.opened(before, word)
        self.after(name, got, words)

    def opened(self, before: set[tuple[str, int]], word: str) -> None:
        """Takes down what incident a word has become, if one."""
        with self.rig.store.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT o.slug, i.identifier, p.slug FROM incident i JOIN organization o ON o.id = i.organization_id"
                " JOIN incident_project x ON x.incident_id = i.id JOIN project p ON p.id = x.project_id"
                " WHERE i.title LIKE %(word)s",
                {"word": f"%{word}%"},
            ).all()
        for slug, number, project in rows:
            told = Told(slug, number)
            assert (slug, number) not in before
            self.told[word] = told
            self.projects.setdefault(told, set()).add(project)

    @rule(name=names, project=st.sampled_from(["", "checkout", "catalogue", "reactor"]), channel=st.sampled_from("123"))
    def declares(self, name: str, project: str, channel: str) -> None:
        """Opens an incident, wherever they may."""
        if len(self.projects) < 8:
            self.declare(name, project, f"C000{channel}")

    @rule(
        name=names,
        verb=st.sampled_from(
            [
                *("view", "activity", "ack", "subscribe", "unsubscribe", "resolve", "reopen", "comment"),
                *("severity critical", "severity warning", "comment", "comment"),
            ]
        ),
        number=numbers,
        mention=st.sampled_from(
            ["", "", *(f"<@{m.who.user_id}>" for c in companies().values() for m in c.members.values())]
        )
        | st.sampled_from(["<!subteam^S0001>", "<!subteam^S0002>", "<!subteam^S0101>", "@ben", "@gil", "@payments"]),
    )
    def commands(self, name: str, verb: str, number: int, mention: str) -> None:
        """A command on one incident, with a text that is known again."""
        verb, _, value = verb.partition(" ")
        takes_text = verb in ("resolve", "reopen", "comment", "severity")
        text = f"{self.comment_on(name, number)} {mention}" if takes_text else ""
        words = f"{verb} {number} {value} {text}"
        self.after(name, self.rig.command(self.who(name), words), words)

    def comment_on(self, name: str, number: int) -> str:
        """A word for a text of theirs; on what they cannot see it is nowhere to be found again."""
        word = self.word()
        told = Told(self.company(name).slug, number)
        if self.sees(name, told):
            self.told[word] = told
        return word

    @rule(
        name=names,
        words=st.sampled_from(
            [
                *(
                    "list",
                    "list all",
                    "list all seen:no",
                    "list all project:catalogue",
                    "list all team:search",
                    "whoami",
                ),
                *(
                    "list all following:yes",
                    "list all project:reactor",
                    "resolve",
                    "view",
                    "digest list",
                    "help",
                    "digest",
                ),
                *(
                    "list all qzi",
                    "list all qzi1x",
                    "list all qzi2x",
                    "list all qzi3x",
                    "digest add daily at 9",
                    "declare",
                ),
            ]
        ),
        channel=st.sampled_from(["C0001", "C0002", "C0003"]),
    )
    def asks(self, name: str, words: str, channel: str) -> None:
        """A question about no incident in particular."""
        self.after(name, self.rig.command(self.who(name), words, channel), words)

    @rule(name=names, number=numbers)
    def looks(self, name: str, number: int) -> None:
        """What they see is what the model says, no less and no more."""
        told = Told(self.company(name).slug, number)
        got = self.rig.command(self.who(name), f"view {number}")
        title = next((word for word, one in self.told.items() if one == told and word.startswith("qzi")), None)
        if title is not None:
            assert (title in got.told) == self.sees(name, told), (name, told, got.told)
        self.after(name, got)

    @rule(name=names, surface=index, element=index, option=index)
    def presses(self, name: str, surface: int, element: int, option: int) -> None:
        """Something that is in front of them."""
        usable = [one for one in self.shown[name] if one.elements()]
        if not usable:
            return
        shown = usable[surface % len(usable)]
        found = shown.elements()[element % len(shown.elements())]
        chosen: Json = {}
        if found["type"] != "button":
            options = found.get("options") or [{"value": str(option % 5 + 1)}]
            chosen = {"selected_option": options[option % len(options)]}
        payload = self.rig.pressed(self.who(name), shown, found, chosen)
        note(f"{name} presses {found['action_id']} {found.get('value')} {chosen}")
        self.payloads.append(payload)
        before = self.comments()
        self.after(name, self.rig.replay(self.who(name), payload), str(found.get("value")))
        self.rewritten(before)

    @rule(name=names, form=index, project=st.sampled_from(["checkout", "catalogue", "reactor"]), number=numbers)
    def submits(self, name: str, form: int, project: str, number: int) -> None:
        """A form that is in front of them, filled in."""
        forms = [one for one in self.shown[name] if one.kind == "modal" and one.body.get("submit")]
        if not forms:
            return
        shown = forms[form % len(forms)]
        kept = json.loads(shown.body.get("private_metadata") or "{}")
        about = number if shown.body.get("callback_id") == "add_to_incident" else int(kept.get("n") or number)
        declares = shown.body.get("callback_id") == "declare"
        word = self.word("i") if declares else self.comment_on(name, about)
        values = {}
        for block in shown.body["blocks"]:
            if block["type"] == "input":
                values[block["block_id"]] = filled(block["element"], word, project, number)
        payload = self.rig.submitted(self.who(name), shown.body, values)
        note(f"{name} submits {shown.body.get('callback_id')} {kept} {word}")
        self.payloads.append(payload)
        known, before = set(self.rig.known), self.comments()
        got = self.rig.replay(self.who(name), payload)
        if declares:
            self.opened(known, word)
        self.rewritten(before)
        self.after(name, got, word)

    @rule(name=names, payload=index)
    def takes_over(self, name: str, payload: int) -> None:
        """What somebody else's client sent, sent again in their own name."""
        if not self.payloads:
            return
        chosen = json.loads(json.dumps(self.payloads[payload % len(self.payloads)]))
        view = chosen.get("view") or {}
        sent_off, word = chosen["type"] == "view_submission", ""
        declares = sent_off and view.get("callback_id") == "declare"
        if sent_off:
            kept = json.loads(view.get("private_metadata") or "{}")
            word = self.word("i") if declares else self.comment_on(name, int(kept.get("n") or 0))
            # A text of its own, so that every word stands for what one person said in one place.
            view["state"] = json.loads(WORD.sub(word, json.dumps(view["state"])))
        note(f"{name} sends again: {json.dumps(chosen)[:400]}")
        known, before = set(self.rig.known), self.comments()
        got = self.rig.replay(self.who(name), chosen)
        if declares:
            self.opened(known, word)
        self.rewritten(before)
        # What a button's value says, whoever sends it knows: the words of a list's filter.
        said = " ".join(str(action.get("value")) for action in chosen.get("actions", ()))
        self.after(name, got, f"{word} {said}")

    def comments(self) -> set[str]:
        """The words that stand in comments now."""
        with self.rig.store.read() as connection:
            texts = connection.exec_driver_sql("SELECT comment FROM incident_activity WHERE comment IS NOT NULL")
            return set(WORD.findall(" ".join(texts.scalars())))

    def rewritten(self, before: set[str]) -> None:
        """Takes down which comments say something else now, or nothing any more."""
        self.gone |= before - self.comments()

    @rule(name=names, state=st.sampled_from(["", "{}", "x"]))
    def opens_home(self, name: str, state: str) -> None:
        """Home, as whatever it showed last."""
        view = {"type": "home", "private_metadata": state}
        self.after(name, self.rig.event(self.who(name), {"type": "app_home_opened", "tab": "home", "view": view}))

    @rule(
        name=names,
        menu=st.sampled_from(["incident", "project", "team", "pick_view"]),
        typed=st.sampled_from(["", "qz", "1"]),
    )
    def searches(self, name: str, menu: str, typed: str) -> None:
        """A menu whose options are looked up."""
        got = self.rig.suggest(self.who(name), menu, typed)
        self.after(name, got)
        if menu == "project":
            company = self.company(name)
            found = {option["value"] for option in (got.answer or {}).get("options", [])}
            assert found <= {slug for slug in company.projects if company.sees(name, {slug})}

    @rule(name=names, callback=st.sampled_from(["declare_incident", "add_to_incident"]))
    def takes_a_shortcut(self, name: str, callback: str) -> None:
        """The form that it opens is in front of them then."""
        message = {"text": "said elsewhere", "ts": "1.1", "user": "U0002"} if callback == "add_to_incident" else None
        self.after(name, self.rig.shortcut(self.who(name), callback, message))

    # --- in channels -------------------------------------------------------------------------------------------

    @rule(name=names, card=index, reaction=st.sampled_from(["eyes", "white_check_mark"]))
    def reacts(self, name: str, card: int, reaction: str) -> None:
        """A reaction on a card."""
        if not self.cards:
            return
        channel, ts = self.cards[card % len(self.cards)]
        item = {"type": "message", "channel": channel, "ts": ts}
        self.after(name, self.rig.event(self.who(name), {"type": "reaction_added", "reaction": reaction, "item": item}))

    @rule(name=names, card=index)
    def replies_to(self, name: str, card: int) -> None:
        """A reply in the thread of a card."""
        if not self.cards:
            return
        channel, card_ts = self.cards[card % len(self.cards)]
        about = self.of_card(channel, card_ts)
        word = self.comment_on(name, about.number) if about else self.word()
        ts = f"{self.rig.store.clock.now().timestamp():.6f}"
        said = {"type": "message", "channel": channel, "channel_type": "channel", "ts": ts, "thread_ts": card_ts}
        got = self.rig.event(self.who(name), {**said, "text": f"{word} <@U0003>"})
        self.replies.append((name, channel, card_ts, ts, word))
        self.after(name, got, word)

    @rule(reply=index, deletes=st.booleans())
    def changes_a_reply(self, reply: int, deletes: bool) -> None:
        """One's own reply, edited or deleted in Slack."""
        if not self.replies:
            return
        name, channel, card_ts, ts, _ = self.replies[reply % len(self.replies)]
        old = {"type": "message", "user": self.who(name).user_id, "ts": ts, "thread_ts": card_ts, "text": "old"}
        happened: Json = {"type": "message", "channel": channel, "channel_type": "channel", "previous_message": old}
        about = self.of_card(channel, card_ts)
        word = self.comment_on(name, about.number) if about else self.word()
        if deletes:
            happened |= {"subtype": "message_deleted", "deleted_ts": ts}
        else:
            edited = {"user": self.who(name).user_id, "ts": f"{self.rig.store.clock.now().timestamp():.6f}"}
            happened |= {"subtype": "message_changed", "message": {**old, "text": word, "edited": edited}}
        before = self.comments()
        got = self.rig.event(self.who(name), happened)
        self.rewritten(before)
        self.after(name, got, word, withdraws=deletes)

    def of_card(self, channel: str, ts: str) -> Told | None:
        """The incident whose card that is."""
        with self.rig.store.read() as connection:
            row = connection.exec_driver_sql(
                "SELECT o.slug, i.identifier FROM post p JOIN destination d ON d.id = p.destination_id"
                " JOIN incident i ON i.id = p.incident_id JOIN organization o ON o.id = i.organization_id"
                " WHERE p.ts = %(ts)s AND d.channel_id = %(channel)s",
                {"ts": ts, "channel": channel},
            ).first()
        return None if row is None else Told(row[0], row[1])

    # --- what changes under them -------------------------------------------------------------------------------

    def applied(self, company: Company) -> None:
        """The organization as the model has it now. Nothing is on its way from before: each step ends in rest."""
        self.rig.apply(company.file())
        with self.rig.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT id, split_part(email, '@', 1) FROM member").all()
        self.member_ids = {row[0]: row[1] for row in rows}
        self.rest()
        self.rig.known = facts(self.rig.store)

    def rest(self) -> None:
        """Waits until delivery has nothing left to do."""
        busy = (
            "SELECT EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM post WHERE wanted_version > drawn_version)"
            " OR EXISTS (SELECT FROM destination WHERE leased_until > now())"
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with self.rig.store.read() as connection:
                if not connection.exec_driver_sql(busy).scalar_one():
                    break
            assert time.monotonic() < deadline, "delivery does not come to rest"
            time.sleep(0.005)
        self.overhear()

    @rule(
        name=names,
        change=st.sampled_from(["role", "team", "team", "superuser", "leaves or comes", "open", "off", "project"]),
        role=st.sampled_from(["member", "admin", "manager", "owner"]),
        team=index,
    )
    def reorganizes(self, name: str, change: str, role: str, team: int) -> None:
        """The organization file says something else of somebody, or of everybody."""
        company, member = self.company(name), self.member(name)
        slug = sorted(company.teams)[team % len(company.teams)]
        before = member.role, member.present
        match change:
            case "role":
                member.role = role
            case "team":
                member.teams ^= {slug}
            case "superuser":
                member.superuser = not member.superuser
            case "leaves or comes":
                member.present = not member.present
            case "open":
                company.open_membership = not company.open_membership
            case "off":
                company.incidents = not company.incidents
            case _:
                project = sorted(company.projects)[team % len(company.projects)]
                company.projects[project][0].symmetric_difference_update({slug})
        note(f"the file now says: {company.file()}")
        if not any(one.present and one.role == "owner" for one in company.members.values()):
            with pytest.raises(NotApplicable, match="would have no owner"):
                self.rig.apply(company.file())
            member.role, member.present = before
            return
        self.applied(company)

    def teardown(self) -> None:
        """What was still on its way is read too."""
        if self.companies:
            self.rest()


def filled(element: Json, word: str, project: str, number: int) -> Json:
    """What is filled into a field: the word where there is room for a text, else something that may fit."""
    match element["type"]:
        case "rich_text_input":
            said = {"type": "text", "text": f"{word} "}
            section = {"type": "rich_text_section", "elements": [said, {"type": "user", "user_id": "U0003"}]}
            return {"type": "rich_text_input", "rich_text_value": {"type": "rich_text", "elements": [section]}}
        case "plain_text_input":
            return {"type": "plain_text_input", "value": word if element["action_id"] in ("title", "words") else None}
        case "static_select" | "radio_buttons":
            options = element.get("options") or [{"value": project}]
            fitting = [option for option in options if option["value"] == project] or options
            return {"type": element["type"], "selected_option": fitting[number % len(fitting)]}
        case "external_select":
            return {"type": "external_select", "selected_option": {"value": str(number)}}
    return {"type": element["type"]}


def test_nobody_sees_or_changes_what_is_not_theirs(rig: Rig) -> None:
    for company in companies().values():
        for member in company.members.values():
            if member.who.workspace_id != "T0001":
                rig.slack.person(member.who.user_id, member.name, f"{member.name}@globex.test")
    rig.slack.channel("C0101", "reactor")
    rig.bot.delivery.start()

    class Here(Walk):
        def __init__(self) -> None:
            super().__init__(rig)

    walks = cases(SHORT, SHARE / STEPS)
    run_state_machine_as_test(Here, settings=settings(walks, stateful_step_count=STEPS))

"""Everything that is drawn to be pressed, chosen or submitted is handled; and what is not, is said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot
from bot.handlers.verb import Registry
from bot.slack.acknowledgement import payload_of
from tests.hardening.rig import Json, Rig, Shown, Somebody

ADA = Somebody("U0001")
ROOM = Path(bot.__file__).parent
# Whoever draws with these names the id in the argument of that place.
DRAWERS = {
    "button": ("buttons", 1),
    "menu_entry": ("buttons", 1),
    "build_incident_menu": ("lookups", 0),
    "build_form": ("forms", 0),
}
# Ids that are put together where they are drawn, and from what: the registry makes its own from the same.
PUT_TOGETHER = {
    ("incident_menu.py", "action_id"): {"view", "acknowledge", "resolve", "comment"},
    ("incident_menu.py", "PICK + pick.action_id"): {"pick_view", "pick_acknowledge", "pick_resolve", "pick_comment"},
}


def drawn() -> Iterator[tuple[str, str, ast.expr]]:
    """The file, the kind and the id of everything that is drawn."""
    for path in sorted([*ROOM.rglob("messages/*.py"), *ROOM.rglob("handlers/*.py"), *ROOM.rglob("digests/*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if name in DRAWERS and (name != "build_form" or path.parent.name == "messages"):
                    kind, place = DRAWERS[name]
                    yield path.name, kind, node.args[place]
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "callback_id":
                        yield path.name, "forms", value


def ids(file: str, id_: ast.expr, known: set[str]) -> set[str]:
    """The ids that an expression may come to; of one with a part that varies, those among the known that fit it."""
    if isinstance(id_, ast.Constant):
        return {str(id_.value)}
    if isinstance(id_, ast.JoinedStr):
        parts = [re.escape(str(one.value)) if isinstance(one, ast.Constant) else ".+" for one in id_.values]
        return {one for one in known if re.fullmatch("".join(parts), one)} or {ast.unparse(id_)}
    return PUT_TOGETHER.get((file, ast.unparse(id_)), {ast.unparse(id_)})


def test_everything_that_is_drawn_is_handled() -> None:
    registry = Registry.collect()
    handled = {kind: set(getattr(registry, kind)) for kind in ("buttons", "lookups", "forms")}
    found = [(file, kind, ids(file, id_, handled[kind])) for file, kind, id_ in drawn()]
    assert len(found) > 60
    inner = {"callback_id"}  # of the function that every form is drawn with
    assert [(file, kind, one) for file, kind, some in found for one in some - handled[kind] - inner] == []


def test_everything_that_is_handled_is_drawn() -> None:
    registry = Registry.collect()
    for kind in ("buttons", "forms"):
        handled = set(getattr(registry, kind))
        seen = {one for file, of, id_ in drawn() if of == kind for one in ids(file, id_, handled)}
        picks = {one for one in handled if one.startswith("pick_")}
        assert handled - seen - picks == set()


def defects(rig: Rig) -> list[str]:
    """What has been logged as one since the last time."""
    lines, rig.errors.lines = rig.errors.lines, []
    return lines


def send(rig: Rig, payload: Json) -> Json | None:
    """A request that the rig would take for broken, as it is logged as a defect."""
    answer = payload_of(rig.bot.listeners.dispatch(payload))
    return dict(answer) if answer else None


@pytest.mark.parametrize("kind", ["ephemeral", "channel", "modal", "home"])
def test_a_button_that_nobody_handles_is_answered_and_logged(rig: Rig, kind: str) -> None:
    rig.slack.platform.deliveries.traffic.clear()
    shown = Shown("ephemeral", {}, "C0001", "1.1") if kind == "ephemeral" else Shown(kind, {}, "C0001", "1.1")  # type: ignore[arg-type]
    said: list[Json] = []
    rig.bot.background.respond = lambda url, body: said.append(dict(body))  # type: ignore[method-assign]  # noqa: ARG005
    send(rig, rig.pressed(ADA, shown, {"action_id": "of_another_version"}, {"value": "1"}))
    rig.slack.problems.take("invalid_trigger_id")  # a trigger of the rig's
    opened = [one.sent for one in rig.slack.platform.deliveries.traffic if one.name.startswith("views.")]
    assert "I do not know this button" in str(opened if kind in ("modal", "home") else said)
    (line,) = [one for one in defects(rig) if "of_another_version" in one]
    assert "no handler for an id" in line


def test_a_form_that_nobody_handles_stays_open_and_says_so(rig: Rig) -> None:
    block = {"type": "input", "block_id": "words", "element": {"type": "plain_text_input", "action_id": "words"}}
    view = {"callback_id": "of_another_version", "private_metadata": "", "blocks": [block]}
    answer = send(rig, rig.submitted(ADA, view, {"words": {"type": "plain_text_input", "value": "what I typed"}}))
    assert answer is not None
    assert answer["response_action"] == "errors"
    assert "I do not know this form" in answer["errors"]["words"]
    assert [one for one in defects(rig) if "of_another_version" in one]


def test_a_shortcut_and_a_menu_that_nobody_handles_are_logged(rig: Rig) -> None:
    who = {"team": {"id": "T0001"}, "user": {"id": "U0001", "team_id": "T0001"}, "trigger_id": "1.1"}
    send(rig, {"type": "shortcut", **who, "callback_id": "of_another_version", "action_ts": "1.1"})
    rig.slack.problems.take("invalid_trigger_id")
    assert [one for one in defects(rig) if "of_another_version" in one]
    answer = send(
        rig, {"type": "block_suggestion", **who, "action_id": "of_another_version", "block_id": "b", "value": ""}
    )
    assert answer == {"options": []}
    assert [one for one in defects(rig) if "of_another_version" in one]

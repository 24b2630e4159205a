"""`views.*`: forms and the Home tab."""

from sandbox import payload_checks
from sandbox.api.arguments import Arguments
from sandbox.errors import SlackError
from sandbox.platform import Platform
from sandbox.records import Json
from sandbox.views import View


def _view(arguments: Arguments, *, kind: str) -> Json:
    """The valid view of the call; raises SlackError `invalid_arguments` (with reasons) or `view_too_large`."""
    view = payload_checks.require_view(arguments.json("view", "invalid_arguments"))
    if view.get("type") != kind:
        raise SlackError("invalid_arguments", messages=[f"[ERROR] must be of type {kind} [json-pointer:/view/type]"])
    return view


def _answer(platform: Platform, view: View) -> Json:
    return {"view": platform.views.render(view)}


def open_view(platform: Platform, arguments: Arguments) -> Json:
    definition = _view(arguments, kind="modal")
    trigger = platform.triggers.exchange(arguments.required("trigger_id", "invalid_trigger_id"))
    return _answer(platform, platform.views.open(platform.workspace.user(trigger.user_id), definition))


def push(platform: Platform, arguments: Arguments) -> Json:
    definition = _view(arguments, kind="modal")
    trigger = platform.triggers.exchange(arguments.required("trigger_id", "invalid_trigger_id"))
    return _answer(platform, platform.views.push(platform.workspace.user(trigger.user_id), definition))


def update(platform: Platform, arguments: Arguments) -> Json:
    view_id, external_id = arguments.text("view_id"), arguments.text("external_id")
    if view_id is None and external_id is None:
        raise SlackError("invalid_arguments", messages=["[ERROR] missing required field: view_id or external_id"])
    definition = payload_checks.require_view(arguments.json("view", "invalid_arguments"))
    view = platform.views.find(view_id, external_id)
    if definition.get("type") != view.definition["type"]:
        raise SlackError(
            "invalid_arguments", messages=["[ERROR] a view cannot change its type [json-pointer:/view/type]"]
        )
    return _answer(platform, platform.views.update(view, definition, arguments.text("hash")))


def publish(platform: Platform, arguments: Arguments) -> Json:
    definition = _view(arguments, kind="home")
    user = platform.workspace.users.get(arguments.required("user_id"))
    if user is None:
        raise SlackError("invalid_arguments", messages=["[ERROR] user not found [json-pointer:/user_id]"])
    if not platform.app.home_tab:
        raise SlackError("not_enabled")
    return _answer(platform, platform.views.publish(user, definition, arguments.text("hash")))


METHODS = {"views.open": open_view, "views.push": push, "views.update": update, "views.publish": publish}

"""`files.*`: uploading in three steps, reading a file's data, deleting a file."""

from sandbox import events, payload_checks
from sandbox.api import access
from sandbox.api.arguments import Arguments
from sandbox.blocks import completed
from sandbox.errors import SlackError
from sandbox.platform import Platform
from sandbox.records import Channel, Json


def get_upload_url(platform: Platform, arguments: Arguments) -> Json:
    name = arguments.required("filename")
    try:
        length = int(arguments.required("length"))
    except ValueError:
        raise SlackError("invalid_arguments", messages=["[ERROR] must be an integer [json-pointer:/length]"]) from None
    if length <= 0:
        raise SlackError("missing_argument")
    file, url = platform.files.ticket(name, access.bot(platform), arguments.text("alt_txt") or "")
    return {"upload_url": url, "file_id": file.id}


def complete_upload(platform: Platform, arguments: Arguments) -> Json:
    given = arguments.json("files", "invalid_arguments")
    if not isinstance(given, list) or not given or not all(isinstance(f, dict) and f.get("id") for f in given):
        raise SlackError("invalid_arguments", messages=["[ERROR] must be a list of files [json-pointer:/files]"])
    channels = _channels(platform, arguments)
    comment = arguments.text("initial_comment")
    blocks = arguments.json("blocks", "invalid_blocks")
    if comment:  # which goes without them
        blocks = None
    if blocks:
        payload_checks.require_message({"blocks": blocks})
    files = [platform.files.complete(str(f["id"]), f.get("title")) for f in given]
    for channel in channels:
        body: Json = {
            "text": comment or "",
            "files": [platform.files.render(file) for file in files],
            "upload": False,
            "display_as_bot": False,
            **({"blocks": completed(blocks)} if blocks else {}),
            "subtype": "file_share",
        }
        message = platform.workspace.post(
            channel, access.bot(platform), body, thread_ts=arguments.text("thread_ts"), by_app=True
        )
        platform.files.share(files, channel, message.ts)
        for file in files:
            event = events.file_shared(channel, file.id, file.user.id, platform.workspace.next_ts())
            platform.workspace.announce(event, channel)
    return {"files": [platform.files.render(file) for file in files]}


def _channels(platform: Platform, arguments: Arguments) -> list[Channel]:
    """The channels to share the files in; raises SlackError for a channel that the app may not post in."""
    named = [*arguments.names("channels"), *arguments.names("channel_id")]
    if any(name in platform.workspace.users for name in named):
        raise SlackError("channel_not_found")  # a person's id is not accepted here, unlike in chat.postMessage
    channels = [access.channel_to_speak(platform, name) for name in named]
    if not all(platform.workspace.hears(channel) for channel in channels):
        raise SlackError("not_in_channel")
    return channels


def info(platform: Platform, arguments: Arguments) -> Json:
    file = platform.files.find(arguments.required("file", "file_not_found"))
    return {
        "file": platform.files.render(file),
        "comments": [],
        "response_metadata": {"next_cursor": ""},
    }


def delete(platform: Platform, arguments: Arguments) -> Json:
    file = platform.files.find(arguments.required("file", "file_not_found"))
    if file.user.id != platform.app.bot_user_id:
        raise SlackError("cant_delete_file")
    file.deleted = True
    return {}


METHODS = {
    "files.getUploadURLExternal": get_upload_url,
    "files.completeUploadExternal": complete_upload,
    "files.info": info,
    "files.delete": delete,
}

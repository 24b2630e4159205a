"""What people write to a bot as they would to a colleague, and a line in return."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

_EMOJI = re.compile(r":[a-z0-9_+'-]+:(?::skin-tone-\d:)?")
_WORD = re.compile(r"[^\W\d_]+")
_FIRST_SYMBOL = "\u2190"  # emoji, and no letters, are behind it
# Nobody who sends these wants to chat.
_ALARMS = frozenset([*(":fire:", ":rotating_light:", ":sos:", ":boom:", ":warning:"), *"🔥🚨🆘💥"])
_ALARMED = "Is something wrong? `declare` opens an incident, and `list` shows what is open."
_AGREED = "All right. I'm here when you need me."

# By the line in return, the words that ask for it. The first that fits is taken: "ok, thanks" is thanks.
_REPLIES: Mapping[str, Set[str]] = {
    "You're welcome.": {"thanks", "thank", "thankyou", "thx", "tx", "ty", "tysm", "cheers", "danke", "merci"},
    "Hi. `list` shows what is open, and `help` what else I can do.": {
        *("hi", "hello", "hey", "hiya", "yo", "hallo", "howdy", "morning", "afternoon", "evening", "ping", "test"),
    },
    "Take care.": {"bye", "goodbye", "cya", "goodnight", "night", "later"},
    "No problem.": {"sorry", "oops", "nevermind", "nvm"},
    _AGREED: {
        *("ok", "okay", "k", "kk", "sure", "fine", "great", "nice", "cool", "perfect", "good", "awesome", "yes", "yep"),
        *("yeah", "no", "nope", "roger", "understood", "noted", "right", "alright", "wow", "lol", "haha", "hm", "hmm"),
        *("copy", "gotcha", "got"),
    },
}
# Words that may stand beside these.
_BESIDE = frozenset(
    [
        *("you", "very", "much", "a", "an", "lot", "so", "all", "everyone", "everybody", "again", "that", "it", "its"),
        *("for", "tocsin", "bot", "there", "are", "is", "was", "to", "the", "job", "well", "work", "my", "friend"),
        *("team", "mate", "oh", "ah", "and", "now", "then", "i", "im", "me", "your", "help", "just", "really", "see"),
    ]
)
_KNOWN = _BESIDE.union(*_REPLIES.values())


def find_reply(text: str) -> str | None:
    """The line in return (mrkdwn) for a text of nothing but pleasantries (plain text); None for any other text."""
    lower = text.lower().replace("'", "").replace("’", "")
    without = _EMOJI.sub("", lower)
    if any(sign.isdigit() for sign in without):
        return None
    words = set(_WORD.findall(without))
    if not words and any(alarm in lower for alarm in _ALARMS):
        return _ALARMED
    if not words:
        return _AGREED if without != lower or any(sign >= _FIRST_SYMBOL for sign in without) else None
    if not words <= _KNOWN:
        return None
    return next((reply for reply, asking in _REPLIES.items() if words & asking), None)

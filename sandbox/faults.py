"""Faults on demand: calls of the app that are rate limited, fail, are slow, drip, or lose their response; and
Slack's own rate limits, off by default. This module decides which calls are affected; `server` applies the
fault to the response.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil

from sandbox.clock import Clock

RESPONSE_URL = "response_url"  # the method name for a POST to a response URL
UPLOAD = "upload"  # the method name for the POST of a file's bytes


@dataclass(slots=True, eq=False)
class Fault:
    """One kind of fault for some calls."""

    methods: str  # a method, or a pattern such as `chat.*`
    times: int | None  # how many more calls it affects; None: every call, until removed
    status: int = 0  # the HTTP status to fail with; 0: none
    error: str = ""  # Slack's error name to refuse with
    retry_after: int | None = None  # seconds, of a 429
    seconds: float = 0.0  # delay of the response, in real time
    drip: float = 0.0  # seconds between two bytes of the response, in real time
    cut: bool = False  # the connection is cut instead of a response
    held: threading.Event | None = None  # the response is sent once this is set
    performed: bool = False  # whether a failed or cut call is still performed
    hits: int = 0  # calls affected so far


class Faults:
    """The active faults. May be changed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.met = 0  # how many calls were affected by any fault so far

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def rate_limit(self, methods: str, *, retry_after: int = 1, times: int | None = 1) -> Fault:
        """429 with `Retry-After` (seconds)."""
        return self._add(Fault(methods, times, status=429, error="ratelimited", retry_after=retry_after))

    def fail(self, methods: str, *, status: int = 500, times: int | None = 1, performed: bool = False) -> Fault:
        """An HTTP error without a Slack error; with `performed`, the call is performed first."""
        return self._add(Fault(methods, times, status=status, performed=performed))

    def refuse(self, methods: str, error: str, *, times: int | None = 1) -> Fault:
        """An error response with one of Slack's error names, such as `internal_error` or `restricted_action`."""
        return self._add(Fault(methods, times, error=error))

    def slow(self, methods: str, seconds: float, *, times: int | None = 1) -> Fault:
        """The call is performed at once, and the response is sent after `seconds`."""
        return self._add(Fault(methods, times, seconds=seconds, performed=True))

    def hold(self, methods: str, *, times: int | None = None) -> Fault:
        """The calls are performed at once, and their responses are sent when this fault is removed."""
        return self._add(Fault(methods, times, held=threading.Event(), performed=True))

    def drip(self, methods: str, seconds: float, *, times: int | None = 1) -> Fault:
        """The call is performed at once, and its response is sent byte by byte, `seconds` apart."""
        return self._add(Fault(methods, times, drip=seconds, performed=True))

    def cut(self, methods: str, *, times: int | None = 1, performed: bool = True, after_seconds: float = 0.0) -> Fault:
        """The connection is cut without a response, by default after the call was performed: a message was posted."""
        return self._add(Fault(methods, times, cut=True, performed=performed, seconds=after_seconds))

    def remove(self, fault: Fault) -> None:
        """Remove one fault, if it is still active."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)
        if fault.held:
            fault.held.set()

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            faults = list(self._faults)
        for fault in faults:
            self.remove(fault)

    def meet(self, method: str) -> Fault | None:
        """The fault that affects a call of `method`, if any; reduces its count of calls left."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fnmatchcase(method, fault.methods):
                    fault.hits += 1
                    self.met += 1
                    if fault.times is not None:
                        fault.times -= 1
                        if not fault.times:
                            self._faults.remove(fault)
                    return fault
        return None


# Calls a minute in Slack's tiers, and the tier of each method, from the reference of the methods.
TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
TIER_OF: dict[str, int] = {
    "apps.connections.open": 1,
    "conversations.list": 2,
    "users.list": 2,
    "usergroups.list": 2,
    "usergroups.users.list": 2,
    "conversations.history": 3,
    "conversations.replies": 3,
    "conversations.info": 3,
    "conversations.join": 3,
    "conversations.open": 3,
    "chat.update": 3,
    "chat.delete": 3,
    "users.conversations": 3,
    "users.lookupByEmail": 3,
    "reactions.add": 3,
    "reactions.get": 3,
    "reactions.remove": 2,
    "team.info": 3,
    "bots.info": 3,
    "chat.postEphemeral": 4,
    "conversations.members": 4,
    "users.info": 4,
    "views.open": 4,
    "views.push": 4,
    "views.update": 4,
    "views.publish": 4,
    "files.info": 4,
    "files.getUploadURLExternal": 4,
    "files.completeUploadExternal": 4,
}

MINUTE = 60.0


class Limits:
    """Slack's rate limits. All are off at first; times are on the workspace's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}
        self.tiers = False
        self.posts_per_second: float | None = None  # chat.postMessage in one channel: Slack's is about 1
        self.history_per_minute: int | None = None  # conversations.history and .replies: 1 for some apps

    def on(self) -> None:
        """All limits as in Slack: the tiers, and one message a second in each channel."""
        self.tiers = True
        self.posts_per_second = 1.0

    def off(self) -> None:
        """No limits."""
        self.tiers, self.posts_per_second, self.history_per_minute = False, None, None

    def wait(self, method: str, channel: str) -> int:
        """Whole seconds until `method` may be called again; 0: it may be called now, and this call is
        counted.
        """
        rules = list(self._rules(method, channel))
        if not rules:
            return 0
        now = self._clock.now()
        with self._lock:
            for key, most, window in rules:
                calls = self._calls.setdefault(key, deque())
                while calls and calls[0] <= now - window:
                    calls.popleft()
                if len(calls) >= most:
                    return max(1, ceil(calls[0] + window - now))
            for key, _, _ in rules:
                self._calls[key].append(now)
        return 0

    def _rules(self, method: str, channel: str) -> Sequence[tuple[str, int, float]]:
        rules = []
        if self.tiers and method in TIER_OF:
            rules.append((method, TIERS[TIER_OF[method]], MINUTE))
        if self.posts_per_second is not None and method == "chat.postMessage":
            rules.append((f"post {channel}", 1, 1 / self.posts_per_second))
        if self.history_per_minute is not None and method in ("conversations.history", "conversations.replies"):
            rules.append((method, self.history_per_minute, MINUTE))
        return rules

"""What somebody may not do with digests."""

from __future__ import annotations

from bot.incidents.errors import Refusal


class NotDigestOwner(Refusal):
    """Somebody else owns the digest, and the caller may not manage it."""


class DigestChanged(Refusal):
    """Somebody has changed the digest since the caller began to edit it. `by` is None where nobody knows who."""

    def __init__(self, digest_id: int, by: str | None) -> None:
        super().__init__(
            f"{by or 'Somebody'} changed digest {digest_id} while you were editing it, so your changes were not saved."
            " Copy what you need, close this form and press Edit again."
        )


class NoSuchDigest(Refusal):
    """There is no such digest, or it belongs to another organization."""

    def __init__(self, digest_id: int) -> None:
        super().__init__(
            f"There is no digest {digest_id} here. `digest list` shows the digests of this channel and your own."
        )


class MayNotChangeDigest(Refusal):
    """The caller owns the digest, but their role no longer allows managing digests."""

    def __init__(self) -> None:
        super().__init__(
            "Only admins, managers and owners of the organization can change or send digests. You own this one, so you"
            " can pause or remove it."
        )


class MayNotManageDigests(Refusal):
    """The caller's role does not allow managing digests."""

    def __init__(self) -> None:
        super().__init__(
            "Only admins, managers and owners of the organization can create digests. Ask one of them to create it, or"
            " to add it to the organization file."
        )

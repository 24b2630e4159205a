"""Sets up a workspace: its people, channels, user groups and app, and later changes to them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from sandbox import events, saved_state
from sandbox.driver.person import Person
from sandbox.driver.surface import SeenMessage
from sandbox.errors import SandboxError
from sandbox.manifest import install
from sandbox.platform import Platform
from sandbox.records import Channel, Json, User, UserGroup


class WorkspaceSetup:
    """The part of a `Sandbox` that adds and changes people, channels, user groups and the app."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._people: dict[str, Person] = {}
        self._open_channels: list[Channel] = []

    # -- setup: existed before the app was installed, unless `announced` to the app as new

    def channel(
        self,
        channel_id: str,
        name: str,
        *,
        private: bool = False,
        shared_with: str | None = None,
        hosted_by: str | None = None,
        org_shared: bool = False,
        bot_in: bool = True,
        members: Iterable[Person] | None = None,
        announced: bool = False,
    ) -> Channel:
        """A channel; `shared_with`: another company's team id; `org_shared`: with other workspaces of the same
        Enterprise organization; `hosted_by`: the team id of the workspace that it belongs to, if that is another.

        Without `members` everyone is a member, including people added later.
        """
        workspace = self.platform.workspace
        companies = (self.platform.workspace.team_id, shared_with)
        everyone = [u.id for u in workspace.users.values() if not u.is_bot and u.team_id in companies]
        ids = everyone if members is None else [person.id for person in members]
        channel = Channel(
            id=channel_id,
            name=name,
            private=private,
            shared_with=shared_with,
            hosted_by=hosted_by,
            org_shared=org_shared,
            created=int(self.platform.clock.now()),
            creator=ids[0] if ids else self.platform.app.bot_user_id,
            members=[*ids, *([self.platform.app.bot_user_id] if bot_in else [])],
        )
        with workspace.changing():
            workspace.channels[channel_id] = channel
            if announced and not private:
                created = events.channel_created(channel, self.platform.workspace.team_id, workspace.next_ts())
                workspace.announce(created)
        if members is None:
            self._open_channels.append(channel)
        return channel

    def person(
        self,
        user_id: str,
        name: str,
        email: str | None = None,
        *,
        handle: str | None = None,
        title: str = "",
        tz: str = "UTC",
        email_confirmed: bool = True,
        restricted: bool = False,
        ultra_restricted: bool = False,
        is_bot: bool = False,
        deleted: bool = False,
        home_team: str | None = None,
        announced: bool = False,
    ) -> Person:
        """A person; `title`: what they do, shown beside their name; `home_team`: another company's team id.

        `handle` (typed after an @) defaults to their first name in lower case.
        """
        workspace = self.platform.workspace
        taken = {user.name for user in workspace.users.values()}
        handle = handle or name.split()[0].lower()
        if handle in taken:
            handle = name.lower().replace(" ", ".")
        user = User(
            id=user_id,
            name=handle,
            real_name=name,
            team_id=home_team or self.platform.workspace.team_id,
            email=email,
            email_confirmed=email_confirmed,
            title=title,
            tz=tz,
            restricted=restricted,
            ultra_restricted=ultra_restricted,
            is_bot=is_bot,
            deleted=deleted,
        )
        workspace.add_user(user)
        with workspace.changing():
            for channel in self._open_channels:
                if home_team is None or channel.shared_with == home_team:
                    channel.members.append(user.id)
            if announced and user.team_id == self.platform.workspace.team_id:
                ts = workspace.next_ts()
                workspace.announce(events.team_joined(self._rendered(user), user.updated, ts))
        person = self._people[user_id] = Person(self.platform, user)
        return person

    def usergroup(
        self, group_id: str, handle: str, name: str, users: Iterable[Person] = (), *, announced: bool = False
    ) -> UserGroup:
        """A user group, mentioned as @handle."""
        now = int(self.platform.clock.now())
        group = UserGroup(group_id, handle, name, [person.id for person in users], created=now, updated=now)
        with self.platform.workspace.changing():
            self.platform.workspace.usergroups[group_id] = group
            if announced:
                self._announce_group("subteam_created", group)
        return group

    def who(self, user_id: str) -> Person:
        """A person by id; raises SandboxError."""
        try:
            return self._people[user_id]
        except KeyError:
            raise SandboxError(f"there is nobody with the id {user_id}") from None

    def install(self, manifest: Mapping[str, object]) -> None:
        """Give the app what its manifest says: scopes, subscriptions, commands, shortcuts; raises SandboxError."""
        self.platform.menu = install(self.platform.app, self.platform.oauth, manifest)
        bot = self.platform.workspace.users[self.platform.app.bot_user_id]
        bot.real_name = self.platform.app.name
        bot.name = bot.real_name.lower().replace(" ", "_")

    def save_state(self) -> Json:
        """Everything posted so far, as a JSON value, for `restore_state` in a later process."""
        return saved_state.save_state(self.platform)

    def restore_state(self, saved: Mapping[str, object]) -> bool:
        """Restore the state from `written`, in a workspace set up the same way; False if it is from another version."""
        return saved_state.restore_state(self.platform, saved)

    def everything_is_read(self) -> None:
        """Mark everything in the workspace as read by everybody."""
        with self.platform.workspace.changing():
            self.platform.unread.everything_is_read()

    def unread(self, person: Person, channel_id: str) -> int:
        """The number of unread messages of others in a conversation; 0 when the conversation does not exist."""
        workspace = self.platform.workspace
        with workspace.lock:
            channel = workspace.channels.get(channel_id)
            return int(self.platform.unread.of(person.user, channel)["unread"]) if channel else 0

    def guide(self, steps: Sequence[Json], buttons: Mapping[str, Callable[[], None]] | None = None) -> None:
        """Set the guided path of the page: steps with `title`, `text` (mrkdwn) and `done`, and their location: `as` (a
        person's id) and `place` (a channel's id, `home`, or `trouble`: that tab of the inspector). A step may have a
        `button`, a label; `buttons` has what each does, which must return soon.
        """
        self.platform.guide = list(steps)
        self.platform.guide_buttons = dict(buttons or {})

    @property
    def steps_done(self) -> set[str]:
        """The titles of the steps of the guided path that are done, also in an earlier run that was restored."""
        return {str(step["title"]) for step in self.platform.guide if step["done"]}

    # -- changes that no message causes

    def archive(self, channel: Channel, by: Person | None = None) -> None:
        """Archive a channel."""
        self._set_archived(channel, True, by)

    def unarchive(self, channel: Channel, by: Person | None = None) -> None:
        """Unarchive a channel."""
        self._set_archived(channel, False, by)

    def _set_archived(self, channel: Channel, archived: bool, by: Person | None) -> None:
        workspace = self.platform.workspace
        with workspace.changing():
            channel.archived = archived
            workspace.looks_new(channel)
            kind = f"{channel.type}_{'archive' if archived else 'unarchive'}"
            who = by.id if by else channel.creator
            workspace.announce(events.channel_named(kind, channel, who, workspace.next_ts()), channel)

    def share(self, channel: Channel, team_id: str) -> None:
        """Share a channel with another company."""
        workspace = self.platform.workspace
        with workspace.changing():
            channel.shared_with = team_id
            workspace.looks_new(channel)
            workspace.announce(events.channel_shared(channel, team_id, workspace.next_ts()), channel)

    def unshare(self, channel: Channel) -> None:
        """Stop sharing a channel with the other company."""
        workspace = self.platform.workspace
        with workspace.changing():
            team_id, channel.shared_with = channel.shared_with or "", None
            workspace.looks_new(channel)
            workspace.announce(events.channel_unshared(channel, team_id, workspace.next_ts()), channel)

    def rename(self, channel: Channel, name: str) -> None:
        """Rename a channel."""
        workspace = self.platform.workspace
        with workspace.changing():
            channel.name = name
            workspace.looks_new(channel)
            workspace.announce(events.channel_renamed(channel, workspace.next_ts()), channel)

    def invite_bot(self, channel: Channel, by: Person | None = None) -> None:
        """Add the app to a channel."""
        bot = self.platform.workspace.users[self.platform.app.bot_user_id]
        self.platform.workspace.join(channel, bot, by.id if by else None)

    def remove_bot(self, channel: Channel) -> None:
        """Remove the app from a channel."""
        self.platform.workspace.leave(channel, self.platform.workspace.users[self.platform.app.bot_user_id])

    def change(self, person: Person, **fields: object) -> None:
        """Change a person's record (`email`, `tz`, `deleted`, `restricted`, `email_confirmed`, …)."""
        workspace = self.platform.workspace
        with workspace.changing():
            for name, value in fields.items():
                if not hasattr(person.user, name):
                    raise SandboxError(f"people have no {name!r}")
                setattr(person.user, name, value)
            person.user.updated = int(self.platform.clock.now())
            workspace.looks_new(person.user)
            rendered = self._rendered(person.user)
            workspace.announce(events.user_changed(rendered, person.user.updated, workspace.next_ts()))

    def _rendered(self, user: User) -> Json:
        with_email = "users:read.email" in self.platform.app.scopes
        return user.render(
            with_email=with_email,
            home=self.platform.workspace.team_id,
            now=self.platform.clock.utc(),
            with_locale=True,
            enterprise=self.platform.workspace.enterprise,
        )

    def set_members(self, group: UserGroup, people: Iterable[Person]) -> None:
        """Set the members of a user group."""
        workspace = self.platform.workspace
        with workspace.changing():
            old, new, before = group.users, [person.id for person in people], group.updated
            group.users, group.updated = new, int(self.platform.clock.now())
            added, removed = [u for u in new if u not in old], [u for u in old if u not in new]
            ts = workspace.next_ts()
            workspace.announce(events.subteam_members_changed(group, workspace.team_id, added, removed, before, ts))
            self._announce_group("subteam_updated", group)

    def disable(self, group: UserGroup) -> None:
        """Disable a user group."""
        with self.platform.workspace.changing():
            group.enabled, group.updated = False, int(self.platform.clock.now())
            self._announce_group("subteam_updated", group)

    def _announce_group(self, kind: str, group: UserGroup) -> None:
        workspace = self.platform.workspace
        rendered = group.render(self.platform.workspace.team_id, with_users=True, creator=self.platform.app.bot_user_id)
        workspace.announce(events.subteam(kind, rendered, workspace.next_ts()))

    def unfurl(self, message: SeenMessage, title: str, url: str) -> None:
        """Show a link's preview below a message: an edit without an editor."""
        preview = {
            "id": 1,
            "from_url": url,
            "original_url": url,
            "title": title,
            "fallback": title,
            "title_link": url,
        }
        self.platform.workspace.edit(message.record, {"attachments": [preview]})

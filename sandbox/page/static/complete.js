// Completion while typing: @people and @groups, #channels, :emoji:, and /commands at the beginning.

import { emojiNode } from "./mrkdwn.js";
import { emojiNames } from "./emoji.js";
import { Popup } from "./picker.js";
import { store } from "./store.js";

const MOST = 8;

const starts = (text, wanted) => text.toLowerCase().split(/[\s.]/).some((word) => word.startsWith(wanted)) || text.toLowerCase().startsWith(wanted);

function people(wanted) {
  const persons = [...store.people.values()]
    .filter((person) => !person.deleted && (starts(person.name, wanted) || starts(person.handle, wanted)))
    .map((person) => ({ text: person.name, note: `@${person.handle}`, insert: `@${person.handle}` }));
  const groups = [...store.groups.values()]
    .filter((group) => starts(group.handle, wanted) || starts(group.name, wanted))
    .map((group) => ({ text: `@${group.handle}`, note: `${group.name}, ${group.users.length} ${group.users.length === 1 ? "person" : "people"}`, insert: `@${group.handle}` }));
  const all = ["here", "channel"].filter((name) => wanted && name.startsWith(wanted)).map((name) => ({ text: `@${name}`, note: "everybody in this channel", insert: `@${name}` }));
  return [...persons, ...groups, ...all].slice(0, MOST);
}

const channels = (wanted) =>
  [...store.channels.values()].filter((channel) => !channel.im && channel.name.includes(wanted)).slice(0, MOST).map((channel) => ({ text: `#${channel.name}`, insert: `#${channel.name}` }));

const emojis = (wanted) => emojiNames(wanted, MOST).map((name) => ({ text: name, nodes: [emojiNode(name), ` :${name}:`], insert: `:${name}:` }));

const commands = (wanted) =>
  store.app.commands.filter((command) => command.name.startsWith(`/${wanted}`)).map((command) => ({ text: `${command.name} ${command.hint}`.trim(), note: command.description, insert: command.name }));

const SOURCES = [
  { look: /(?<![^\s(])@([\w.-]*)$/, find: people },
  { look: /(?<![^\s(])#([\w-]*)$/, find: channels },
  { look: /(?<![^\s(])(?<!\w):([a-z0-9_+-]{2,})$/, find: emojis },
];

const COMMAND = { look: /^\/([\w-]*)$/, find: commands };

/** Lets a text area complete what is typed in it; gives the popup, whose `key` comes before other keys. */
export function complete(area, { commands: withCommands = true } = {}) {
  const sources = withCommands ? [COMMAND, ...SOURCES] : SOURCES;
  let from = 0;
  const popup = new Popup(
    area,
    (option) => {
      area.setRangeText(`${option.insert} `, from, area.selectionStart, "end");
      area.dispatchEvent(new Event("input"));
      area.focus();
    },
    "Suggestions",
  );
  area.setAttribute("aria-autocomplete", "list");
  area.addEventListener("input", () => {
    const before = area.value.slice(0, area.selectionStart);
    for (const source of sources) {
      const match = source.look.exec(before);
      const found = match && source.find(match[1].toLowerCase());
      if (found?.length) {
        from = area.selectionStart - match[0].length;
        // What is complete already needs no help.
        if (found.length === 1 && found[0].insert === match[0].toLowerCase()) break;
        popup.show(found);
        return;
      }
    }
    popup.close();
  });
  area.addEventListener("blur", () => popup.close());
  area.addEventListener("keydown", (event) => {
    if (popup.key(event)) event.stopImmediatePropagation();
  });
  return popup;
}

// One message: who said it and when, what it says, its reactions, its thread, and what can be done with it.

import { blocks } from "./blocks.js";
import { collapseHeight, collapseList } from "./collapse.js";
import { add, fill, h, icon, link, toast } from "./dom.js";
import { USUAL, emoji, emojiNames } from "./emoji.js";
import { image } from "./elements.js";
import { zoomable } from "./lightbox.js";
import { menuButton } from "./menu.js";
import { emojiNode, mrkdwn, plain } from "./mrkdwn.js";
import { Popup } from "./picker.js";
import { fromMarkup, toMarkup } from "./richtext.js";
import { store } from "./store.js";
import { clock, exact, momentOf, since } from "./time.js";

// Messages of one person within so many seconds stand under one name.
const TOGETHER_S = 300;

const authorOf = (message) => message.user ?? "";

/** A square with a person's first letters, or the app's sign. */
export function avatar(id, small = false) {
  const person = store.people.get(id);
  const app = id === store.app.user;
  const name = person?.name ?? "?";
  const letters = name.split(/\s+/).map((word) => word[0]).slice(0, 2).join("");
  const number = [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7);
  return h(`span.avatar.tint-${number % 8}${app ? ".app" : ""}${small ? ".small-avatar" : ""}`, { aria: { hidden: "true" } }, app ? "🚨" : letters);
}

/** Whether a message goes under the name of the one before it. */
export function together(message, before) {
  return Boolean(
    before &&
      !message.subtype?.endsWith("_join") &&
      authorOf(before) === authorOf(message) &&
      Boolean(before.ephemeral) === Boolean(message.ephemeral) &&
      !before.subtype &&
      Number(message.ts) - Number(before.ts) < TOGETHER_S,
  );
}

/** The surface that a message's blocks act on. */
function surfaceOf(message) {
  const at = { channel: message.channel, ts: message.ts };
  const initial = new Map();
  const value = (block, element) => ({ ...at, block: block.block_id, action: element.action_id });
  return {
    form: false,
    key: `${message.channel} ${message.ts}`, // of what may be shown in part
    use: (block, element, chosen) => store.act("use", { ...value(block, element), value: chosen }),
    fill: (block, element, chosen) => {
      initial.set(element.action_id, chosen);
      return store.act("use", { ...value(block, element), value: chosen });
    },
    options: async (block, element, typed) => (await store.act("options", { ...value(block, element), typed })).options,
    state: (_, element) => initialState(element),
  };
}

/** What an untouched element holds. */
export function initialState(element) {
  const state = {};
  for (const [key, value] of Object.entries(element)) {
    if (key.startsWith("initial_")) state[key.replace("initial_", "selected_")] = value;
  }
  if (element.initial_value !== undefined) {
    state.value = element.initial_value;
    state.rich_text_value = element.initial_value;
  }
  return state;
}

/** What a message says: its blocks, else its text, then its attachments and files. */
function body(message) {
  const surface = surfaceOf(message);
  const nodes = [];
  if (message.subtype === "tombstone") return [h("em.gone", {}, "This message was deleted.")];
  if (message.blocks?.length) nodes.push(h("div.blocks", {}, blocks(surface, message.blocks)));
  else if (message.text) nodes.push(h("div.text", {}, mrkdwn(message.text)));
  for (const attachment of message.attachments ?? []) nodes.push(attached(surface, attachment));
  for (const file of message.files ?? []) nodes.push(attachedFile(file));
  return nodes;
}

/** What a message says, and that it was edited where a person did. */
const words = (message) => [body(message), message.edited && !isApp(message) && h("span.edited", {}, "(edited)")];

const isApp = (message) => message.app || store.people.get(authorOf(message))?.bot;

const COLORS = { good: "#2f9e63", warning: "#d99a1c", danger: "#c9372c" };

// What Slack shows of an attachment: so many blocks; a text whole if it is shorter than this, else the first lines.
const BLOCKS_SHOWN = 5;
const TEXT_SHOWN = 700;
const LINES_SHOWN = 5;

function attachedText(text, key) {
  const box = h("div", {}, mrkdwn(text));
  return text.length >= TEXT_SHOWN || text.split("\n").length > LINES_SHOWN ? collapseHeight(box, key, "Show more") : box;
}

function attached(surface, attachment) {
  const key = `${surface.key} attachment ${attachment.id ?? ""}`;
  const box = h("div.attachment");
  const color = COLORS[attachment.color] ?? (/^#?[0-9a-f]{6}$/i.test(attachment.color ?? "") ? `#${attachment.color.replace("#", "")}` : null);
  if (color) box.style.borderLeftColor = color;
  return add(
    box,
    attachment.pretext && h("div", {}, mrkdwn(attachment.pretext)),
    attachment.author_name && h("div.small", {}, plain(attachment.author_name)),
    attachment.title && h("div.attachment-title", {}, attachment.title_link ? link(attachment.title_link, plain(attachment.title)) : plain(attachment.title)),
    attachment.blocks ? collapseList(blocks({ ...surface, key: null }, attachment.blocks), BLOCKS_SHOWN, key, "Show more") : attachment.text && attachedText(attachment.text, key),
    attachment.fields && h("div.fields", {}, attachment.fields.map((field) => h("div.field-text", {}, h("strong", {}, plain(field.title ?? "")), h("br"), mrkdwn(field.value ?? "")))),
    attachment.image_url && image(attachment),
    attachment.footer && h("div.small", {}, plain(attachment.footer)),
  );
}

function attachedFile(file) {
  const url = `/page/files/${encodeURIComponent(file.id)}`;
  const picture = /\.(png|jpe?g|gif|webp)$/i.test(file.name ?? "");
  return h(
    "div.file",
    {},
    h("a.file-name", { href: url, download: picture ? null : (file.name ?? "file"), target: "_blank", rel: "noopener" }, picture ? "🖼" : "📄", " ", file.title || file.name),
    picture && zoomable(url, file.alt_txt || file.title || file.name),
  );
}

function reactions(message) {
  if (!message.reactions?.length) return null;
  return h(
    "div.reactions",
    { role: "group", aria: { label: "Reactions" } },
    message.reactions.map((reaction) => {
      const names = reaction.users.map((id) => store.called(id) ?? id).join(", ");
      const mine = reaction.users.includes(store.me.id);
      return h(
        `button.reaction${mine ? ".mine" : ""}`,
        {
          type: "button",
          title: `${names} reacted with :${reaction.name}:`,
          aria: { pressed: String(mine), label: `${reaction.name.replaceAll("_", " ")}, ${reaction.count}: ${names}` },
          onclick: () => react(message, reaction.name),
        },
        emojiNode(reaction.name),
        h("span", {}, ` ${reaction.count}`),
      );
    }),
  );
}

async function tried(promise) {
  try {
    return await promise;
  } catch (error) {
    toast(error.message);
    return null;
  }
}

export const react = (message, name) => tried(store.act("react", { channel: message.channel, ts: message.ts, name }));

function threadLine(message) {
  if (!message.reply_count) return null;
  const words = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  return h(
    "button.thread-line",
    { type: "button", onclick: () => store.say("open-thread", message) },
    (message.reply_users ?? []).map((id) => avatar(id, true)),
    h("span.thread-count", {}, words),
    h("span.small", {}, `Last reply ${since(message.latest_reply)}`),
  );
}

/** A message as an item of a list. */
export function drawMessage(message, before, { inThread = false } = {}) {
  const author = authorOf(message);
  const moment = momentOf(message.ts);
  const joined = together(message, before);
  const name = message.username ?? store.called(author) ?? "Somebody";
  const item = h("li.message", {
    class: [joined && "joined", message.ephemeral && "ephemeral", message.subtype === "channel_join" && "quiet"].filter(Boolean).join(" "),
    tabindex: "-1",
    data: { ts: message.ts },
    aria: { label: `${name}, ${clock(moment)}` },
  });
  const time = h("time.time", { datetime: moment.toISOString(), title: exact(moment) }, clock(moment));
  return add(
    item,
    message.ephemeral && h("div.only-you", {}, h("span", { aria: { hidden: "true" } }, "👁 "), "Only visible to you"),
    message.broadcast && !inThread && h("div.only-you", {}, "Replied to a thread"),
    h("div.gutter", {}, joined ? time : avatar(author)),
    h(
      "div.message-main",
      {},
      !joined && h("div.by", {}, h("span.author", {}, name), isApp(message) && h("span.badge", {}, "APP"), guest(author), time),
      h("div.message-body", {}, editors.get(editorKey(message, inThread)) ?? words(message)),
      reactions(message),
      !inThread && threadLine(message),
      message.ephemeral &&
        h("div.small", {}, h("button.plain.link", { type: "button", onclick: () => tried(store.act("delete", { channel: message.channel, ts: message.ts })) }, "Dismiss")),
    ),
  );
}

function guest(author) {
  const person = store.people.get(author);
  if (!person) return null;
  if (person.team !== store.team.id) return h("span.badge", { title: "From another company" }, "EXTERNAL");
  return person.guest ? h("span.badge", {}, "GUEST") : null;
}

/** The bar that stands at the message under the pointer or the focus. One for each list. */
export class Tools {
  constructor(list, find, { inThread = false } = {}) {
    this.list = list;
    this.find = find;
    this.inThread = inThread;
    this.bar = h("div.message-tools", { role: "toolbar", aria: { label: "Message actions" } });
    const move = (event) => {
      const item = event.target.closest?.("li.message");
      if (item && item !== this.item) this.to(item);
    };
    list.addEventListener("pointerover", move);
    list.addEventListener("focusin", move);
    list.addEventListener("pointerleave", () => {
      if (!this.bar.contains(document.activeElement) && !this.list.contains(document.activeElement)) this.away();
    });
    list.addEventListener("focusout", (event) => {
      if (!list.contains(event.relatedTarget) && !list.matches(":hover")) this.away();
    });
    list.addEventListener("keydown", (event) => this.key(event));
  }

  away() {
    this.bar.remove();
    this.item = null;
  }

  to(item) {
    const message = this.find(item.dataset.ts);
    if (!message) return;
    this.item = item;
    const quick = (name) =>
      h("button.plain", { type: "button", title: `React with :${name}:`, aria: { label: `React with ${name.replaceAll("_", " ")}` }, onclick: () => react(message, name) }, emoji(name));
    fill(
      this.bar,
      !message.ephemeral && [quick("eyes"), quick("white_check_mark"), reactionButton(message)],
      !message.ephemeral &&
        !this.inThread &&
        h("button.plain", { type: "button", title: "Reply in thread", aria: { label: "Reply in thread" }, onclick: () => store.say("open-thread", message) }, icon("thread")),
      h("button.plain", { type: "button", title: "Show what is behind it", aria: { label: "Inspect" }, onclick: () => store.say("inspect", { channel: message.channel, ts: message.ts }) }, icon("code")),
      menuButton({ class: "plain" }, icon("more"), () => this.items(message), "More actions"),
    );
    item.append(this.bar);
  }

  items(message) {
    const shortcuts = message.ephemeral
      ? []
      : store.app.shortcuts
          .filter((shortcut) => shortcut.type === "message")
          .map((shortcut) => ({
            text: shortcut.name,
            note: store.app.name,
            run: () => tried(store.act("message_shortcut", { channel: message.channel, ts: message.ts, callback_id: shortcut.callback_id })),
          }));
    const mine = message.user === store.me.id && !message.ephemeral && !message.subtype;
    return [
      ...shortcuts,
      ...(mine ? [{ text: "Edit message", run: () => this.edit(message) }] : []),
      ...(mine || message.ephemeral
        ? [{ text: message.ephemeral ? "Dismiss" : "Delete message", run: () => tried(store.act("delete", { channel: message.channel, ts: message.ts })) }]
        : []),
      { text: "Copy the time stamp", note: message.ts, run: () => navigator.clipboard?.writeText(message.ts) },
      { text: "Inspect", run: () => store.say("inspect", { channel: message.channel, ts: message.ts }) },
    ];
  }

  /** Opens the editor of a message, which may have been drawn anew since its menu was opened. */
  edit(message) {
    const item = this.list.querySelector(`li.message[data-ts="${CSS.escape(message.ts)}"]`);
    if (item) edit(message, this.inThread, item.querySelector(".message-body"), () => this.find(message.ts) ?? message);
  }

  /** The arrows go from message to message while one of them has the focus. */
  key(event) {
    const item = event.target.closest?.("li.message");
    if (event.target !== item) return;
    const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!next) return;
    let other = item[next];
    while (other && !other.matches("li.message")) other = other[next];
    if (other) {
      event.preventDefault();
      focusMessage(other);
    }
  }
}

/** Puts the focus on a message, the only one of its list that the tabulator stops at. */
export function focusMessage(item) {
  for (const other of item.parentElement.querySelectorAll("li.message[tabindex='0']")) other.tabIndex = -1;
  item.tabIndex = 0;
  item.focus();
}

function reactionButton(message) {
  const button = h("button.plain", { type: "button", title: "Find another reaction", aria: { label: "Find another reaction", haspopup: "listbox" } }, icon("smile"));
  button.addEventListener("click", () => {
    const input = h("input.field", { type: "text", placeholder: "Search emoji", aria: { label: "Search emoji" } });
    const popup = new Popup(
      input,
      (option) => {
        input.remove();
        react(message, option.value);
      },
      "Emoji",
    );
    const look = () => {
      const names = input.value ? emojiNames(input.value.toLowerCase(), 12) : USUAL;
      popup.show(names.map((name) => ({ text: name, nodes: [emojiNode(name), ` ${name.replaceAll("_", " ")}`], value: name })));
    };
    input.className = "field reaction-search";
    input.addEventListener("input", look);
    input.addEventListener("keydown", (event) => {
      if (!popup.key(event) && event.key === "Escape") input.remove();
    });
    input.addEventListener("blur", () => {
      popup.close();
      input.remove();
    });
    button.after(input);
    input.focus();
    look();
  });
  return button;
}

// What stands in place of messages while they are changed; it stays when its message is drawn again.
const editors = new Map();

const editorKey = (message, inThread) => `${message.channel} ${message.ts} ${inThread}`;

/** Lets a person change a message of their own, in the place of its words. */
function edit(message, inThread, place, current) {
  const rich = message.blocks?.find((block) => block.type === "rich_text");
  const area = h("textarea.field", { rows: 3, value: rich ? toMarkup(rich) : message.text, aria: { label: "Edit message" } });
  const key = editorKey(message, inThread);
  const back = () => {
    if (editors.delete(key)) fill(editor.parentElement, words(current()));
  };
  const save = async () => {
    if (await tried(store.act("edit", { channel: message.channel, ts: message.ts, text: area.value, rich: fromMarkup(area.value) }))) back();
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") back();
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      save();
    }
  });
  const editor = h(
    "div",
    {},
    area,
    h("div.dialog-buttons", {}, h("button.button", { type: "button", onclick: back }, "Cancel"), h("button.button.primary", { type: "button", onclick: save }, "Save")),
  );
  editors.set(key, editor);
  fill(place, editor);
  area.focus();
}

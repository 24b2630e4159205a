// The messages of a conversation: the newest first on the page, older ones as one scrolls up to them.

import { add, announce, fill, h, icon, toast } from "./dom.js";
import { refind } from "./focus.js";
import { Tools, drawMessage, focusMessage, together } from "./message.js";
import { mrkdwn } from "./mrkdwn.js";
import { store } from "./store.js";
import { day, dayName, momentOf } from "./time.js";

// From so near to an end, in pixels, the list counts as being there.
const NEAR = 80;
const LOAD_WITHIN = 600;

export class Timeline {
  constructor() {
    this.list = h("ol.messages", { role: "list", aria: { label: "Messages" } });
    this.box = h("div.scroll", { tabindex: "-1" }, this.list);
    this.pill = h("button.pill", { type: "button", hidden: true, onclick: () => this.toNewest() });
    this.frame = h("div.timeline", {}, this.box, this.pill);
    this.unseen = 0; // messages that came below what is looked at
    this.items = new Map();
    this.channel = null;
    this.loading = null; // the promise of messages that are on their way
    this.bottom = true;
    this.top = 0;
    this.tools = new Tools(this.list, (ts) => store.timelines.get(this.channel)?.messages.get(ts));
    this.box.addEventListener("scroll", () => {
      // Only going up leaves the end; that something below has grown does not.
      const top = this.box.scrollTop;
      if (this.atEnd()) this.bottom = true;
      else if (top < this.top) this.bottom = false;
      this.top = top;
      if (this.box.scrollTop < LOAD_WITHIN) this.older();
      if (this.bottom) this.seen();
    });
    // What is opened grows downwards, and does not push what is read out of sight.
    this.box.addEventListener("click", (event) => {
      if (!event.target.closest?.(".more")) return;
      this.bottom = false;
      requestAnimationFrame(() => (this.bottom = this.atEnd()));
    }, true);
    store.on("clock", () => this.channel && this.keepPlace(() => this.redraw()));
    store.on("message", ({ message, inTimeline, fresh }) => {
      if (message.channel === this.channel && inTimeline) this.put(message, fresh);
    });
    // The count of a message comes after the message.
    store.on("unread", () => this.read());
    store.on("gone", ({ channel, ts }) => {
      if (channel === this.channel) this.take(ts);
    });
    addEventListener("focus", () => this.read());
    // Heights are only known once something is drawn: who was at the end stays there.
    const observer = new ResizeObserver(() => this.bottom && this.toBottom());
    observer.observe(this.box);
    observer.observe(this.list);
  }

  /** Shows a conversation at its end, or where it was left when it is shown again after the line was lost. */
  async open(channel) {
    const place = channel === this.channel && !this.bottom ? this.place() : null;
    this.channel = channel;
    this.unseen = 0;
    this.pill.hidden = true;
    this.mark = store.unread.get(channel)?.unread ? store.unread.get(channel).read : null;
    this.bottom = !place;
    const known = store.timeline(channel);
    this.redraw();
    this.opening = known.loaded ? null : this.load(false);
    if (this.opening) {
      await this.opening;
      if (this.channel !== channel) return;
      this.redraw();
    }
    if (place && this.items.has(place.ts)) this.backTo(place);
    else if (!this.target) this.toBottom();
    this.read();
  }

  /** Shows one message of the conversation, however old, and marks it; says so where it is not there. */
  async show(ts) {
    const channel = this.channel;
    this.target = ts;
    this.bottom = false;
    await this.opening;
    const timeline = store.timeline(channel);
    while (this.channel === channel && this.target === ts && !this.items.has(ts) && timeline.more) {
      const before = timeline.messages.size;
      await (this.loading ?? this.older());
      if (timeline.messages.size === before && !this.loading) break;
    }
    if (this.channel !== channel || this.target !== ts) return;
    const node = this.items.get(ts);
    if (node) {
      this.highlight(ts);
      node.scrollIntoView({ block: "center" });
      this.bottom = this.atEnd();
      focusMessage(node);
    } else toast("That message is not here any more.");
  }

  /** Marks the message that the address names, and no other. */
  highlight(ts) {
    this.target = ts;
    for (const [other, node] of this.items) node.classList.toggle("target", other === ts);
  }

  atEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR;
  }

  /** What is looked at: the first message in sight, and how far below the upper edge it begins. */
  place() {
    const top = this.box.getBoundingClientRect().top;
    for (const node of this.list.querySelectorAll("li.message")) {
      const at = node.getBoundingClientRect();
      if (at.bottom > top) return { ts: node.dataset.ts, offset: at.top - top };
    }
    return null;
  }

  backTo(place) {
    const node = place && this.items.get(place.ts);
    if (node) this.box.scrollTop += node.getBoundingClientRect().top - this.box.getBoundingClientRect().top - place.offset;
  }

  /** Changes what is shown without moving what is looked at. */
  keepPlace(change) {
    const place = this.bottom ? null : this.place();
    change();
    if (place) this.backTo(place);
    else this.toBottom();
  }

  async load(older) {
    this.loading = store.load(this.channel, older).catch((error) => {
      toast(error.message);
      return [];
    });
    try {
      return await this.loading;
    } finally {
      this.loading = null;
    }
  }

  messages() {
    const timeline = store.timelines.get(this.channel);
    return timeline ? [...timeline.messages.values()] : [];
  }

  redraw() {
    this.items.clear();
    const list = this.messages();
    const nodes = list.map((message, index) => this.item(message, list[index - 1]));
    fill(this.list, this.beginning(), nodes.flat());
    this.oneTabStop();
  }

  /** What stands above the first message. */
  beginning() {
    const timeline = store.timelines.get(this.channel);
    if (!timeline?.loaded) return h("li.beginning", {}, "Loading…");
    if (timeline.more) return h("li.beginning", {}, h("button.plain.link", { type: "button", onclick: () => this.older() }, "Load older messages"));
    const channel = store.channels.get(this.channel);
    return h("li.beginning", {}, channel?.im ? `This is the very beginning of your messages with ${store.app.name}.` : `This is the very beginning of #${channel?.name ?? ""}.`);
  }

  item(message, before) {
    const newDay = !before || day(momentOf(before.ts)) !== day(momentOf(message.ts));
    const firstNew = this.mark && message.ts > this.mark && (!before || before.ts <= this.mark) && message.user !== store.me.id;
    const node = drawMessage(message, newDay || firstNew ? null : before);
    if (message.ts === this.target) node.classList.add("target");
    this.items.set(message.ts, node);
    return [
      newDay && h("li.day", {}, h("span", {}, dayName(momentOf(message.ts)))),
      firstNew && h("li.new", {}, h("span", {}, "New")),
      node,
    ].filter(Boolean);
  }

  /** Older messages, put above without moving what is looked at. */
  async older() {
    const timeline = store.timelines.get(this.channel);
    if (this.loading || !timeline?.loaded || !timeline.more) return;
    const channel = this.channel;
    const first = timeline.messages.values().next().value;
    const found = await this.load(true);
    if (channel !== this.channel || !found.length) return;
    const height = this.box.scrollHeight;
    const top = this.box.scrollTop;
    const nodes = found.flatMap((message, index) => this.item(message, found[index - 1]));
    this.list.firstElementChild.replaceWith(this.beginning(), ...nodes);
    // What was first may now stand under the name or the day above it.
    const old = this.items.get(first.ts);
    const last = found.at(-1);
    if (old && last && day(momentOf(last.ts)) === day(momentOf(first.ts))) {
      if (old.previousElementSibling?.matches("li.day")) old.previousElementSibling.remove();
      if (together(first, last)) this.replace(first, last);
    }
    this.box.scrollTop = top + this.box.scrollHeight - height;
  }

  /** A message that is new or has changed. */
  put(message, fresh) {
    const old = this.items.get(message.ts);
    if (old) {
      const before = this.before(message.ts);
      this.replace(message, old.classList.contains("joined") ? before : null);
    } else if (fresh) {
      const before = this.before(message.ts);
      add(this.list, this.item(message, before));
      if (message.user !== store.me.id) announce(`${store.called(message.user) ?? ""}: ${said(message)}`);
      if (store.asked(message)) this.reveal(this.items.get(message.ts));
      else if (!this.bottom) this.count(1);
    } else return;
    this.oneTabStop();
    if (this.bottom) this.toBottom();
    this.read();
  }

  /** Brings an answer into view: its end, or its beginning where it does not fit. */
  reveal(node) {
    node.style.contentVisibility = "visible"; // else its height is a guess until it is drawn
    this.toBottom();
    if (node.offsetHeight > this.box.clientHeight) {
      this.bottom = false;
      this.box.scrollTop += node.getBoundingClientRect().top - this.box.getBoundingClientRect().top;
    }
    this.seen();
  }

  /** Offers to go to messages that came out of sight. */
  count(more) {
    this.unseen += more;
    this.pill.hidden = false;
    fill(this.pill, icon("down"), this.unseen === 1 ? "1 new message" : `${this.unseen} new messages`);
  }

  toNewest() {
    this.toBottom();
    this.seen();
    const last = this.list.querySelector("li.message:last-child");
    if (last) focusMessage(last);
  }

  /** The end is in sight. */
  seen() {
    this.unseen = 0;
    this.pill.hidden = true;
    this.read();
  }

  before(ts) {
    let found = null;
    for (const message of store.timelines.get(this.channel).messages.values()) {
      if (message.ts >= ts) break;
      found = message;
    }
    return found;
  }

  replace(message, before) {
    const old = this.items.get(message.ts);
    const active = document.activeElement;
    const focused = old.contains(active);
    const tools = this.tools.item === old;
    const node = drawMessage(message, before);
    node.tabIndex = old.tabIndex;
    old.replaceWith(node);
    this.items.set(message.ts, node);
    if (tools) this.tools.to(node);
    node.classList.add("changed");
    node.classList.toggle("target", message.ts === this.target);
    // What is being changed has come along.
    if (focused) (node.contains(active) ? active : (refind(node, active) ?? node)).focus({ preventScroll: true });
  }

  take(ts) {
    const node = this.items.get(ts);
    if (!node) return;
    const focused = node.contains(document.activeElement);
    const neighbour = node.nextElementSibling ?? node.previousElementSibling;
    if (this.tools.item === node) this.tools.away();
    const next = node.nextElementSibling;
    this.items.delete(ts);
    node.remove();
    // A day or mark under which nothing is left goes too.
    while (!next?.matches("li.message, li.new")) {
      const above = next ? next.previousElementSibling : this.list.lastElementChild;
      if (!above?.matches("li.day, li.new")) break;
      above.remove();
    }
    if (next?.matches("li.message.joined") && !node.classList.contains("joined")) {
      const message = store.timelines.get(this.channel)?.messages.get(next.dataset.ts);
      if (message) this.replace(message, null);
    }
    if (focused && neighbour?.matches("li.message")) focusMessage(neighbour);
  }

  oneTabStop() {
    if (this.list.querySelector("li.message[tabindex='0']")) return;
    const last = this.list.querySelector("li.message:last-child");
    if (last) last.tabIndex = 0;
  }

  toBottom() {
    this.box.scrollTop = this.box.scrollHeight;
    this.bottom = true;
  }

  /** Tells that everything on the page is read, where it is looked at. */
  read() {
    if (!document.hasFocus() || !this.bottom || !this.channel) return;
    const last = this.messages().findLast((message) => !message.ephemeral);
    if (!last || !store.unread.get(this.channel)?.unread) return;
    store.act("read", { channel: this.channel, ts: last.ts }).then(
      (answer) => {
        store.unread.set(this.channel, answer.unread);
        store.say("unread");
      },
      () => {},
    );
  }
}

/** The words of a message, for those who do not see it. */
function said(message) {
  const box = h("div", {}, mrkdwn(message.text || ""));
  return box.textContent.slice(0, 300);
}

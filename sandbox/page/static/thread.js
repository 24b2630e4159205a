// The pane beside a conversation in which one thread is read and answered.

import { Composer } from "./composer.js";
import { fill, h, icon, toast } from "./dom.js";
import { Tools, drawMessage, focusMessage } from "./message.js";
import { store } from "./store.js";

// From so near to the end, in pixels, new replies are followed.
const NEAR = 80;

export class ThreadPane {
  constructor(closed) {
    this.list = h("ol.messages", { role: "list", aria: { label: "Thread" } });
    this.scroll = h("div.scroll", {}, this.list);
    this.at = null;
    this.where = h("span.small");
    this.composer = new Composer(() => ({ channel: this.at?.channel, thread: this.at?.ts }), { thread: true });
    this.tools = new Tools(this.list, (ts) => this.find(ts), { inThread: true });
    this.box = h(
      "aside.pane.thread-pane",
      { aria: { label: "Thread" } },
      h("header.pane-head", {}, h("h2", {}, "Thread ", this.where), h("button.plain", { type: "button", title: "Close", aria: { label: "Close the thread" }, onclick: closed }, icon("close"))),
      this.scroll,
      this.composer.box,
    );
    const mine = ({ channel, ts, in_thread: root }) => this.at && channel === this.at.channel && (ts === this.at.ts || root === this.at.ts);
    store.on("message", ({ message, fresh }) => mine(message) && this.redraw(this.atEnd() || (fresh && store.asked(message))));
    store.on("clock", () => this.redraw(this.atEnd()));
    store.on("gone", (gone) => mine(gone) && this.redraw(false));
  }

  get thread() {
    return this.at && store.threads.get(`${this.at.channel} ${this.at.ts}`);
  }

  find(ts) {
    const thread = this.thread;
    return thread?.root.ts === ts ? thread.root : thread?.replies.get(ts);
  }

  /** Opens a thread, at its end or at the reply `target`. */
  async open(channel, ts, target = null) {
    this.at = { channel, ts };
    this.target = target;
    this.where.textContent = store.channels.get(channel)?.im ? store.app.name : `#${store.channels.get(channel)?.name ?? ""}`;
    fill(this.list, h("li.beginning", {}, "Loading…"));
    this.composer.moved("Reply…");
    try {
      await store.loadThread(channel, ts);
      this.redraw(!target);
      const node = target && this.list.querySelector(`li.message[data-ts="${CSS.escape(target)}"]`);
      if (node) {
        node.scrollIntoView({ block: "center" });
        focusMessage(node);
      } else if (target) toast("That message is not here any more.");
    } catch (error) {
      toast(error.message);
    }
  }

  redraw(toBottom) {
    const thread = this.thread;
    if (!thread) return;
    const focusedTs = document.activeElement?.closest?.("li.message")?.dataset.ts;
    const focused = document.activeElement;
    const hadFocus = this.list.contains(focused);
    const scrolled = this.scroll.scrollTop;
    const replies = [...thread.replies.values()].sort((a, b) => (a.ts < b.ts ? -1 : 1));
    const count = replies.filter((reply) => !reply.ephemeral).length;
    fill(
      this.list,
      drawMessage(thread.root, null, { inThread: true }),
      h("li.day.replies", {}, h("span", {}, count === 1 ? "1 reply" : `${count} replies`)),
      replies.map((reply, index) => drawMessage(reply, replies[index - 1], { inThread: true })),
    );
    const last = this.list.querySelector("li.message:last-child");
    if (last) last.tabIndex = 0;
    for (const node of this.list.querySelectorAll("li.message")) node.classList.toggle("target", node.dataset.ts === this.target);
    // What is being changed has come along.
    if (hadFocus) (focused.isConnected ? focused : this.list.querySelector(`li.message[data-ts="${CSS.escape(focusedTs ?? "")}"]`))?.focus();
    this.scroll.scrollTop = toBottom ? this.scroll.scrollHeight : scrolled;
  }

  atEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR;
  }

  close() {
    this.at = null;
  }
}

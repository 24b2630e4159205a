// The line to the workspace: acts go out and are answered, news comes in; a lost line is taken up again.

import { whenReleased } from "./pointer.js";

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;

export class Link extends EventTarget {
  constructor(person) {
    super();
    this.person = person;
    this.waiting = new Map();
    this.number = 0;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  connect() {
    const url = new URL("/page/feed", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.person) url.searchParams.set("as", this.person);
    this.socket = new WebSocket(url);
    this.socket.addEventListener("message", (event) => whenReleased(() => this.take(JSON.parse(event.data))));
    this.socket.addEventListener("close", () => whenReleased(() => this.lost()));
  }

  take(news) {
    if ("re" in news) {
      const waiting = this.waiting.get(news.re);
      this.waiting.delete(news.re);
      if (!waiting) return;
      if (news.ok) waiting.resolve(news);
      else waiting.reject(new Error(news.error));
      return;
    }
    if (news.what === "hello") this.wait = FIRST_WAIT_MS;
    this.dispatchEvent(new CustomEvent("news", { detail: news }));
  }

  lost() {
    for (const { reject } of this.waiting.values()) reject(new Error("The line to the workspace was lost."));
    this.waiting.clear();
    this.dispatchEvent(new CustomEvent("lost"));
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  /** Does something in the person's name; gives the answer, or fails with a sentence for the person. */
  act(what, given = {}) {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Error("The workspace cannot be reached; is it still running?"));
    }
    const id = ++this.number;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, do: what, ...given }));
    });
  }
}

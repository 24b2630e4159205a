// What this window knows of the workspace, kept current by the line. Says what changed; draws nothing.

import { Link } from "./link.js";

// What the app answers, and how long after it an answer still counts as one.
const ANSWERED = new Set(["say", "command", "use", "submit", "shortcut", "message_shortcut"]);
const ANSWER_WITHIN_MS = 15_000;

class Store extends EventTarget {
  constructor() {
    super();
    this.me = null;
    this.people = new Map();
    this.groups = new Map();
    this.channels = new Map();
    this.unread = new Map();
    this.views = { stack: [], home: null };
    this.timelines = new Map(); // by channel: {messages: Map by ts, more}
    this.threads = new Map(); // by "channel ts": {root, replies: Map by ts}
    this.state = { connected: true, ahead: 0, guide: [], problems: 0 };
    this.skew = 0; // milliseconds by which the workspace's clock is ahead of this one
    this.acted = -Infinity; // when this window last did something that the app answers, by performance.now()
    setInterval(() => this.checkDay(), 30_000);
    this.here = { channel: null, thread: null };
  }

  begin(person) {
    this.link = new Link(person);
    this.link.addEventListener("news", (event) => this.take(event.detail));
    this.link.addEventListener("lost", () => this.say("line", { up: false }));
  }

  say(kind, detail = {}) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  on(kind, listener) {
    this.addEventListener(kind, (event) => listener(event.detail));
  }

  async act(what, given) {
    if (!ANSWERED.has(what)) return this.link.act(what, given);
    this.acted = performance.now();
    try {
      return await this.link.act(what, given);
    } finally {
      this.acted = performance.now();
    }
  }

  /** Whether a message that has just come answers something that this window did, or is what it said. */
  asked(message) {
    const recently = performance.now() - this.acted < ANSWER_WITHIN_MS;
    const direct = this.channels.get(message.channel)?.im;
    return recently && (message.ephemeral || direct || message.user === this.me.id);
  }

  /** Says so when a new day has begun: messages of "today" are now of "yesterday". */
  checkDay() {
    const today = this.me && new Date(this.now()).toLocaleDateString("en-US", { timeZone: this.me.tz });
    if (today && this.today && today !== this.today) this.say("clock");
    this.today = today;
  }

  now() {
    return Date.now() + this.skew;
  }

  take(news) {
    switch (news.what) {
      case "hello":
        return this.hello(news);
      case "message":
        return this.message(news.message);
      case "gone":
        return this.gone(news);
      case "unread":
        this.unread.set(news.channel, news);
        return this.say("unread", news);
      case "views":
        this.views = { stack: news.stack, home: news.home };
        return this.say("views");
      case "channel":
        if (news.channel.members.includes(this.me.id)) this.channels.set(news.channel.id, news.channel);
        else this.channels.delete(news.channel.id);
        return this.say("channels");
      case "person":
        this.people.set(news.person.id, news.person);
        if (news.person.id === this.me.id) this.me = news.person;
        return this.say("people");
      case "state":
        return this.newState(news);
      case "traffic":
        return this.say("traffic", news.lines);
      default:
        return undefined;
    }
  }

  newState(news) {
    const moved = news.ahead !== this.state.ahead;
    this.state = news;
    this.skew = news.now * 1000 - Date.now();
    this.say("state");
    // Every time that is shown as "today" or "2 hours ago" may be another now.
    if (moved) this.say("clock");
    this.checkDay();
  }

  hello(news) {
    this.people = new Map(news.people.map((person) => [person.id, person]));
    this.groups = new Map(news.groups.map((group) => [group.id, group]));
    this.channels = new Map(news.channels.map((channel) => [channel.id, channel]));
    this.unread = new Map(Object.entries(news.unread));
    this.me = this.people.get(news.me);
    this.app = news.app;
    this.team = news.team;
    this.views = news.views;
    this.state = { ...this.state, connected: news.connected, guide: news.guide };
    this.skew = news.now * 1000 - Date.now();
    this.timelines.clear();
    this.threads.clear();
    this.say("line", { up: true });
    this.say("hello");
  }

  // -- conversations

  /** The name of a conversation, as it is shown. */
  nameOf(channel) {
    return channel.im ? this.app.name : channel.name;
  }

  /** What is shown for an id: a person's name, a group's handle, a channel's name. */
  called(id) {
    const person = this.people.get(id);
    if (person) return person.name;
    const group = this.groups.get(id);
    if (group) return group.handle;
    const channel = this.channels.get(id);
    return channel ? this.nameOf(channel) : null;
  }

  timeline(channel) {
    if (!this.timelines.has(channel)) this.timelines.set(channel, { messages: new Map(), more: true, loaded: false });
    return this.timelines.get(channel);
  }

  /** Loads the newest messages of a conversation, or those before the oldest known. */
  async load(channel, older = false) {
    const timeline = this.timeline(channel);
    const before = older ? timeline.messages.keys().next().value : undefined;
    const answer = await this.act("open", before === undefined ? { channel } : { channel, before });
    const had = timeline.messages;
    timeline.messages = new Map(answer.messages.map((message) => [message.ts, message]));
    for (const [ts, message] of had) timeline.messages.set(ts, message);
    timeline.more = answer.more;
    timeline.loaded = true;
    return answer.messages;
  }

  async loadThread(channel, ts) {
    const answer = await this.act("thread", { channel, ts });
    const thread = { root: answer.root, replies: new Map(answer.replies.map((reply) => [reply.ts, reply])) };
    this.threads.set(`${channel} ${ts}`, thread);
    return thread;
  }

  message(message) {
    const { channel, ts } = message;
    const inTimeline = !message.in_thread || message.broadcast;
    const timeline = this.timelines.get(channel);
    let fresh = false;
    if (timeline?.loaded && inTimeline) {
      fresh = !timeline.messages.has(ts);
      const oldest = timeline.messages.keys().next().value;
      // Something older than what is loaded will come when it is scrolled to.
      if (!fresh || oldest === undefined || ts > oldest || !timeline.more) timeline.messages.set(ts, message);
    }
    const root = this.threads.get(`${channel} ${ts}`);
    if (root) root.root = message;
    if (message.in_thread) {
      const thread = this.threads.get(`${channel} ${message.in_thread}`);
      if (thread) {
        fresh = fresh || !thread.replies.has(ts);
        thread.replies.set(ts, message);
      }
    }
    this.say("message", { message, inTimeline, fresh });
  }

  gone({ channel, ts, in_thread }) {
    this.timelines.get(channel)?.messages.delete(ts);
    if (in_thread) this.threads.get(`${channel} ${in_thread}`)?.replies.delete(ts);
    this.say("gone", { channel, ts, in_thread });
  }
}

export const store = new Store();

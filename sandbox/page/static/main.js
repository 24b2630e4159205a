// Puts the page together: which conversation is shown, what stands beside it, and whose window this is.

import { Composer } from "./composer.js";
import { fill, h, icon, toast } from "./dom.js";
import { Forms } from "./forms.js";
import { GuidePane } from "./guide.js";
import { HomePane } from "./home.js";
import { InspectorPane } from "./inspector.js";
import { parseHash } from "./permalink.js";
import { Sidebar } from "./sidebar.js";
import { store } from "./store.js";
import { ThreadPane } from "./thread.js";
import { Timeline } from "./timeline.js";

const page = document.getElementById("page");

const sidebar = new Sidebar();
const timeline = new Timeline();
const home = new HomePane();
const composer = new Composer(() => ({ channel: store.here.channel }), { id: "composer" });
const thread = new ThreadPane(() => go(store.here.channel));
const inspector = new InspectorPane(() => toggle("inspector", false));
const guide = new GuidePane(() => toggle("guide", false));
new Forms();

const title = h("h1.place-title", { tabindex: "-1" });
const facts = h("span.small.place-facts");
const tabs = h("div.tabs.home-tabs");
const head = h(
  "header.main-head",
  {},
  h("button.plain.only-narrow", { type: "button", aria: { label: "Show the list of conversations" }, onclick: () => store.say("drawer", { open: true }) }, icon("menu")),
  h("div.place-head", {}, title, facts),
  tabs,
  h("button.plain.only-narrow", { type: "button", title: "Guided path", aria: { label: "Guided path" }, onclick: () => store.say("toggle", { pane: "guide" }) }, icon("path")),
  h("button.plain", { type: "button", title: "Inspector", aria: { label: "Inspector" }, onclick: () => store.say("toggle", { pane: "inspector" }) }, icon("code")),
);
const content = h("div.content");
const main = h("main.main", {}, head, content);
const veil = h("div.veil", { onclick: () => store.say("drawer", { open: false }) });

const open = { inspector: false, guide: null };
let latest = []; // the panes that are open, the one that was opened last at the end

// -- where one is: #C0001, #C0001/1700000000.000100 (a thread), #C0001/p1700000000000100 (a message), #home

function go(channel, ts) {
  location.hash = ts ? `${channel}/${ts}` : channel;
}

function first() {
  const channels = [...store.channels.values()].filter((channel) => !channel.im).sort((a, b) => a.name.localeCompare(b.name));
  return channels[0]?.id ?? [...store.channels.keys()][0];
}

function arrive() {
  if (!store.me) return;
  const { place, thread: root, message } = parseHash(location.hash);
  if (place !== "home" && !store.channels.has(place)) {
    if (message) toast("That message is in a conversation that you are not in.");
    history.replaceState(null, "", `#${store.here.channel ?? first()}`);
    arrive();
    return;
  }
  const moved = store.here.channel !== place;
  if (store.here.channel && (moved || message) && !root) uncover();
  store.here = { channel: place, thread: root };
  timeline.highlight(root ? null : message);
  if (moved) show(place);
  if (root) thread.open(place, root, message);
  else thread.close();
  arrange();
  if (message && !root) timeline.show(message);
  // Not on a telephone, where the keyboard would hide what one came to read.
  if (moved && place !== "home" && !root && !message && matchMedia("(min-width: 760px)").matches) composer.area.focus({ preventScroll: true });
  store.say("here");
}

function show(place) {
  const channel = store.channels.get(place);
  if (place === "home") {
    timeline.channel = null;
    fill(content, home.box);
    home.show();
  } else {
    home.hide();
    fill(content, timeline.frame, composer.box);
    timeline.open(place);
    composer.moved(channel.im ? `Message ${store.app.name}` : `Message #${channel.name}`);
  }
  drawHead();
}

function drawHead() {
  const place = store.here.channel;
  const channel = store.channels.get(place);
  const app = place === "home" || channel?.im;
  fill(title, app ? store.app.name : [channel?.private ? icon("lock") : "# ", channel?.name ?? ""]);
  const count = channel?.members.filter((id) => !store.people.get(id)?.bot).length;
  const without = channel && !channel.im && !channel.members.includes(store.app.user);
  fill(
    facts,
    !app && channel && `${count} ${count === 1 ? "person" : "people"}`,
    !app && channel?.topic && ` · ${channel.topic}`,
    without && h("button.plain.link", { type: "button", onclick: () => store.act("join", { channel: place }).catch(() => {}) }, `Add ${store.app.name}`),
  );
  fill(
    tabs,
    app && store.app.home_tab && tab("Home", "home", place === "home"),
    app && store.app.messages_tab && tab("Messages", [...store.channels.values()].find((one) => one.im)?.id, place !== "home"),
  );
  const mentions = [...store.unread.values()].reduce((sum, one) => sum + one.mentions, 0);
  document.title = `${mentions ? `(${mentions}) ` : ""}${app ? store.app.name : `#${channel?.name}`} · ${store.me.name}`;
}

const tab = (name, place, here) => h("a.tab", { href: `#${place}`, aria: { current: here ? "page" : null, selected: null } }, name);

// -- what stands beside it

function arrange() {
  const panes = [];
  if (store.here.thread) panes.push(thread.box);
  if (open.inspector) panes.push(inspector.box);
  if (open.guide) panes.push(guide.box);
  const wanted = [sidebar.box, veil, main, ...panes];
  if (wanted.some((node, index) => page.children[index] !== node) || page.children.length !== wanted.length) {
    const scrolled = timeline.box.scrollTop;
    const focused = document.activeElement;
    for (const node of [...page.children]) if (!wanted.includes(node)) node.remove();
    wanted.forEach((node, index) => {
      if (page.children[index] !== node) page.insertBefore(node, page.children[index] ?? null);
    });
    if (timeline.bottom) timeline.toBottom();
    else timeline.box.scrollTop = scrolled;
    if (focused?.isConnected) focused.focus?.({ preventScroll: true });
  }
  // Where there is room for one pane only, it is the one that was opened last.
  for (const pane of panes) if (!latest.includes(pane)) latest.push(pane);
  latest = latest.filter((pane) => panes.includes(pane));
  for (const pane of panes) pane.toggleAttribute("data-latest", pane === latest.at(-1));
  page.dataset.panes = String(panes.length);
  page.removeAttribute("aria-busy");
  inspector.watch(open.inspector);
}

/** Where a pane hides everything else, it goes when one wants to see something else. */
function uncover() {
  if (matchMedia("(min-width: 1001px)").matches) return;
  open.inspector = open.guide = false;
}

function toggle(pane, wanted) {
  const { box } = { inspector, guide }[pane];
  const covered = open[pane] && !box.getClientRects().length;
  open[pane] = wanted ?? (!open[pane] || covered);
  latest = latest.filter((other) => other !== box);
  if (pane === "guide") sessionStorage.setItem("guide", open.guide ? "open" : "closed");
  arrange();
}

store.on("toggle", ({ pane }) => {
  store.say("drawer", { open: false });
  toggle(pane);
});
store.on("go", () => {
  uncover();
  arrange();
});
store.on("trouble", () => {
  toggle("inspector", true);
  inspector.show("trouble");
});
store.on("inspect", (place) => {
  toggle("inspector", true);
  inspector.inspect(place);
});
store.on("open-thread", (message) => {
  go(message.channel, message.in_thread ?? message.ts);
});
store.on("drawer", ({ open: wanted }) => {
  page.classList.toggle("drawer", wanted);
  if (wanted) sidebar.box.querySelector("a, button")?.focus();
});
store.on("channels", drawHeadIfHere);
store.on("unread", drawHeadIfHere);

function drawHeadIfHere() {
  if (store.here.channel) drawHead();
}

store.on("hello", () => {
  const url = new URL(location.href);
  if (url.searchParams.get("as") !== store.me.id) {
    url.searchParams.set("as", store.me.id);
    history.replaceState(null, "", url);
  }
  // On a narrow page a pane would hide everything else; there it is opened by hand.
  if (open.guide === null) open.guide = store.state.guide.length > 0 && sessionStorage.getItem("guide") !== "closed" && matchMedia("(min-width: 1000px)").matches;
  const here = store.here;
  store.here = { channel: null, thread: null };
  arrive();
  if (here.channel && here.channel === store.here.channel) drawHead();
});
store.on("line", ({ up }) => {
  sidebar.down = !up;
  page.classList.toggle("offline", !up);
});

addEventListener("hashchange", arrive);
// A link to where one is already: no change of the address, and yet one wants to see it.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (link && link.getAttribute("href") === location.hash) arrive();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && store.here.thread && !document.querySelector("dialog[open]") && thread.box.contains(document.activeElement)) go(store.here.channel);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.area.focus();
});


store.begin(new URL(location.href).searchParams.get("as"));

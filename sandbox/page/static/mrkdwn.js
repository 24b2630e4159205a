// Slack's markup turned into nodes: what an app or a person wrote, as Slack's clients show it.

import { h, link } from "./dom.js";
import { emoji } from "./emoji.js";
import { store } from "./store.js";
import { drawn } from "./time.js";

export const unescaped = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const MARKS = { "*": "b", _: "i", "~": "s" };
const WORD = /[\p{L}\p{N}]/u;
// Slack takes a zero-width space for a space: apps use it to show formatting characters as they are.
const SPACE = /[\s\u200b]/;

/** mrkdwn as nodes. */
export function mrkdwn(text) {
  const nodes = [];
  String(text)
    .split("```")
    .forEach((part, position, all) => {
      const closed = position % 2 === 1 && position < all.length - 1;
      if (closed) nodes.push(h("pre", {}, code(part.replace(/^\n|\n$/g, ""))));
      else nodes.push(...paragraphs(position % 2 === 1 ? "```" + part : position ? part.replace(/^\n/, "") : part));
    });
  return nodes;
}

function code(text) {
  // Links and mentions are shown as such in code too, as their words.
  return [...text.matchAll(/<([^<>]*)>|[^<]+|</g)].map((match) => (match[1] === undefined ? unescaped(match[0]) : control(match[1])));
}

const QUOTE = /^(?:&gt;|>) ?/;

function paragraphs(text) {
  const nodes = [];
  let quoted = [];
  const endQuote = () => {
    if (quoted.length) nodes.push(h("blockquote", {}, lines(quoted)));
    quoted = [];
  };
  let plain = [];
  const endPlain = () => {
    if (plain.length) nodes.push(...lines(plain));
    plain = [];
  };
  const all = text.split("\n");
  for (let index = 0; index < all.length; index += 1) {
    const rest = /^(?:&gt;|>){3} ?/;
    if (rest.test(all[index])) {
      endPlain();
      quoted.push(all[index].replace(rest, ""), ...all.slice(index + 1));
      break;
    }
    if (QUOTE.test(all[index])) {
      endPlain();
      quoted.push(all[index].replace(QUOTE, ""));
    } else {
      if (quoted.length && !plain.length) endQuote();
      plain.push(all[index]);
    }
  }
  endQuote();
  endPlain();
  return nodes;
}

function lines(list) {
  return list.flatMap((line, index) => (index ? [h("br"), ...inline(line)] : inline(line)));
}

/** One line of mrkdwn as nodes. */
function inline(text) {
  const nodes = [];
  let words = "";
  const flush = () => {
    if (words) nodes.push(document.createTextNode(unescaped(words)));
    words = "";
  };
  const put = (node) => {
    flush();
    nodes.push(node);
  };
  for (let at = 0; at < text.length; ) {
    const character = text[at];
    const rest = text.slice(at);
    let match;
    if (character === "`" && (match = /^`(?!\u200b)([^`\n]+)(?<!\u200b)`/.exec(rest))) put(h("code", {}, code(match[1])));
    else if (character === "<" && (match = /^<([^<>]*)>/.exec(rest))) put(control(match[1]));
    else if (character === ":" && (match = /^:([a-z0-9_+'-]+)(?:::skin-tone-\d)?:/.exec(rest)) && emoji(match[1])) {
      put(emojiNode(match[1]));
    } else if (character in MARKS && (match = marked(text, at))) put(h(MARKS[character], {}, inline(match)));
    else {
      words += character;
      at += 1;
      continue;
    }
    at += typeof match === "string" ? match.length + 2 : match[0].length;
  }
  flush();
  return nodes;
}

/** What stands between two markers, where the first is at `at`; null where they are no markers. */
function marked(text, at) {
  const mark = text[at];
  if (at && WORD.test(text[at - 1])) return null;
  if (!text[at + 1] || SPACE.test(text[at + 1]) || text[at + 1] === mark) return null;
  for (let end = at + 1; end < text.length; end += 1) {
    if (text[end] === "<" || text[end] === "`") {
      const close = text.indexOf(text[end] === "<" ? ">" : "`", end + 1);
      if (close > 0) end = close;
      continue;
    }
    if (text[end] !== mark) continue;
    if (SPACE.test(text[end - 1]) || (text[end + 1] && WORD.test(text[end + 1]))) continue;
    return text.slice(at + 1, end);
  }
  return null;
}

/** An emoji by its name, or the name between colons. */
export function emojiNode(name) {
  const character = emoji(name);
  if (!character) return document.createTextNode(`:${name}:`);
  return h("span.emoji", { role: "img", title: `:${name}:`, aria: { label: name.replaceAll("_", " ") } }, character);
}

/** A mention of a person, group or channel. */
export function mention(sign, id, label) {
  const name = (store.called(id) ?? (label || id)).replace(/^[@#]/, "");
  const group = store.groups.get(id);
  const mine = id === store.me.id || group?.users.includes(store.me.id);
  if (sign === "#" && store.channels.has(id)) return h("a.mention", { href: `#${id}` }, `#${name}`);
  return h(`span.mention${mine ? ".mine" : ""}`, {}, sign + name);
}

export const broadcast = (range) => h("span.mention.mine", {}, `@${range}`);

function control(inside) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : unescaped(inside.slice(bar + 1));
  const kind = target[0];
  if (kind === "@") return mention("@", target.slice(1), label);
  if (kind === "#") return mention("#", target.slice(1), label);
  if (kind === "!") return special(target.slice(1), label);
  const url = unescaped(target);
  return link(url, ...(label ? inline(inside.slice(bar + 1)) : [url.replace(/^mailto:/, "")]));
}

function special(target, label) {
  if (["here", "channel", "everyone", "group"].includes(target)) return broadcast(target);
  const [kind, ...rest] = target.split("^");
  if (kind === "subteam" && rest.length) return mention("@", rest[0], label);
  if (kind === "date" && rest.length > 1) {
    const words = drawn(rest[0], unescaped(rest[1]), label);
    return rest[2] ? link(unescaped(rest[2]), words) : h("time", { title: label }, words);
  }
  return document.createTextNode(label || `<${target}>`);
}

/** A text object: plain_text with its emoji, or mrkdwn. */
export function textNodes(object) {
  if (!object) return [];
  if (typeof object === "string") return [object];
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  return plain(object.text, object.emoji !== false);
}

export const plain = (text, withEmoji = true) => words(unescaped(String(text ?? "")), withEmoji);

/** Words without any markup as nodes: lines, and emoji by their names. */
export const words = (text, withEmoji = true) =>
  String(text ?? "")
    .split("\n")
    .flatMap((line, index) => [...(index ? [h("br")] : []), ...(withEmoji ? withEmojis(line) : [line])]);

const withEmojis = (line) => line.split(/(:[a-z0-9_+'-]+:)/).map((part) => (/^:[^:]+:$/.test(part) ? emojiNode(part.slice(1, -1)) : part));

/** A text object as a plain string, for labels that a screen reader says. */
export function spoken(object) {
  const span = document.createElement("span");
  span.append(...textNodes(object).map((node) => (node instanceof Node ? node : document.createTextNode(node))));
  return span.textContent;
}

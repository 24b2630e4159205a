// Rich text as Slack keeps it: drawn, written out as markup that a person can edit, and read back from that.

import { h, link } from "./dom.js";
import { broadcast, emojiNode, mention, words } from "./mrkdwn.js";
import { store } from "./store.js";
import { drawn } from "./time.js";

// -- drawn

/** A rich_text block as nodes. */
export const richText = (block) => (block.elements ?? []).map(part);

function part(element) {
  switch (element.type) {
    case "rich_text_list":
      return list(element);
    case "rich_text_quote":
      return h("blockquote", {}, (element.elements ?? []).map(leaf));
    case "rich_text_preformatted":
      return h("pre", {}, (element.elements ?? []).map(leaf));
    default:
      return h("div.rich", {}, (element.elements ?? []).map(leaf));
  }
}

function list(element) {
  const ordered = element.style === "ordered";
  const items = (element.elements ?? []).map((item) => h("li", {}, (item.elements ?? []).map(leaf)));
  return h(ordered ? "ol" : "ul", { class: `indent-${element.indent ?? 0}`, start: ordered ? (element.offset ?? 0) + 1 : null }, items);
}

function leaf(element) {
  switch (element.type) {
    case "text":
      return styled(words(element.text), element.style);
    case "link":
      return styled([link(element.url, element.text || element.url)], element.style);
    case "user":
      return mention("@", element.user_id);
    case "usergroup":
      return mention("@", element.usergroup_id);
    case "channel":
      return mention("#", element.channel_id);
    case "broadcast":
      return broadcast(element.range);
    case "emoji":
      return emojiNode(element.name);
    case "date":
      return drawn(element.timestamp, element.format, element.fallback ?? "");
    case "color":
      return element.value;
    default:
      return String(element.text ?? "");
  }
}

function styled(nodes, style = {}) {
  let inner = nodes;
  for (const [name, tag] of [["code", "code"], ["strike", "s"], ["italic", "i"], ["bold", "b"]]) {
    if (style?.[name]) inner = [h(tag, {}, inner)];
  }
  return inner;
}

// -- written out

const MARKS = { bold: "*", italic: "_", strike: "~", code: "`" };

/** What a person would have typed to get this rich text. */
export function toMarkup(block) {
  return (block?.elements ?? [])
    .map((element) => {
      const inner = () => (element.elements ?? []).map(leafMarkup).join("");
      switch (element.type) {
        case "rich_text_list":
          return (element.elements ?? [])
            .map((item, index) => {
              const sign = element.style === "ordered" ? `${(element.offset ?? 0) + index + 1}.` : "•";
              return `${"    ".repeat(element.indent ?? 0)}${sign} ${(item.elements ?? []).map(leafMarkup).join("")}`;
            })
            .join("\n");
        case "rich_text_quote":
          return inner().split("\n").map((line) => `> ${line}`).join("\n");
        case "rich_text_preformatted":
          return "```\n" + inner() + "\n```";
        default:
          return inner().replace(/\n$/, "");
      }
    })
    .join("\n");
}

function leafMarkup(element) {
  switch (element.type) {
    case "user":
      return `@${store.people.get(element.user_id)?.handle ?? element.user_id}`;
    case "usergroup":
      return `@${store.groups.get(element.usergroup_id)?.handle ?? element.usergroup_id}`;
    case "channel":
      return `#${store.channels.get(element.channel_id)?.name ?? element.channel_id}`;
    case "broadcast":
      return `@${element.range}`;
    case "emoji":
      return `:${element.name}:`;
    case "link":
      return element.text && element.text !== element.url ? `[${element.text}](${element.url})` : element.url;
    default: {
      let text = String(element.text ?? element.fallback ?? element.value ?? "");
      for (const [name, mark] of Object.entries(MARKS)) if (element.style?.[name] && text.trim()) text = mark + text + mark;
      return text;
    }
  }
}

// -- read back

/** The rich text that a person typed, or null where they typed nothing. */
export function fromMarkup(typed) {
  if (!typed.trim()) return null;
  const elements = [];
  let section = [];
  const end = () => {
    if (section.length) elements.push({ type: "rich_text_section", elements: joined(section) });
    section = [];
  };
  const all = typed.replace(/\s+$/, "").split("\n");
  for (let at = 0; at < all.length; at += 1) {
    const line = all[at];
    const item = /^( *)(?:([•*-])|(\d+)\.) +(.+)$/.exec(line);
    if (line.startsWith("```")) {
      const close = all.findIndex((other, index) => index > at && other.trimEnd().endsWith("```"));
      const until = close < 0 ? all.length : close;
      const text = [line.slice(3), ...all.slice(at + 1, until), close < 0 ? "" : all[close].replace(/```\s*$/, "")];
      end();
      elements.push({ type: "rich_text_preformatted", elements: [{ type: "text", text: text.join("\n").replace(/^\n|\n$/g, "") || " " }] });
      at = until;
    } else if (/^> ?/.test(line)) {
      const quoted = [];
      while (at < all.length && /^> ?/.test(all[at])) quoted.push(all[at++].replace(/^> ?/, ""));
      at -= 1;
      end();
      elements.push({ type: "rich_text_quote", elements: leaves(quoted.join("\n")) });
    } else if (item) {
      end();
      const style = item[3] ? "ordered" : "bullet";
      const indent = Math.min(8, Math.floor(item[1].length / 4));
      const last = elements.at(-1);
      const entry = { type: "rich_text_section", elements: leaves(item[4]) };
      if (last?.type === "rich_text_list" && last.style === style && last.indent === indent) last.elements.push(entry);
      else elements.push({ type: "rich_text_list", style, indent, elements: [entry], ...(item[3] > 1 ? { offset: item[3] - 1 } : {}) });
    } else {
      if (section.length) section.push({ type: "text", text: "\n" });
      section.push(...leaves(line, true));
    }
  }
  end();
  return { type: "rich_text", elements };
}

/** Neighbouring texts of one style put together. */
function joined(leavesGiven) {
  const result = [];
  for (const one of leavesGiven) {
    const last = result.at(-1);
    const same = last?.type === "text" && one.type === "text" && JSON.stringify(last.style) === JSON.stringify(one.style);
    if (same) last.text += one.text;
    else result.push({ ...one });
  }
  return result;
}

const TOKEN =
  /`([^`\n]+)`|(?<![\p{L}\p{N}])([*_~])(?=\S)([^\n]*?\S)\2(?![\p{L}\p{N}])|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>|]+)|:([a-z0-9_+'-]+):|(?<![\p{L}\p{N}@])@([A-Za-z0-9](?:[\w.-]*\w)?)|(?<![\p{L}\p{N}#&])#([a-z0-9][\w-]*)/gu;

function leaves(text, mayBeEmpty = false, style = undefined) {
  const found = [];
  const put = (words) => words && found.push({ type: "text", text: words, ...(style ? { style } : {}) });
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const made = token(match, style);
    if (!made) continue;
    put(text.slice(end, match.index));
    found.push(...made);
    end = match.index + match[0].length;
  }
  put(text.slice(end));
  return found.length || mayBeEmpty ? found : [{ type: "text", text: " " }];
}

function token(match, style) {
  const [, codeText, mark, marked, label, labelled, url, emoji, handle, channel] = match;
  const dress = style ? { style } : {};
  if (codeText) return [{ type: "text", text: codeText, style: { ...style, code: true } }];
  if (mark) {
    const name = { "*": "bold", _: "italic", "~": "strike" }[mark];
    return leaves(marked, false, { ...style, [name]: true });
  }
  if (labelled) return [{ type: "link", url: labelled, text: label, ...dress }];
  if (url) return [{ type: "link", url, ...dress }];
  if (emoji) return [{ type: "emoji", name: emoji, ...dress }];
  if (handle) {
    if (["here", "channel", "everyone"].includes(handle)) return [{ type: "broadcast", range: handle }];
    const typed = handle.toLowerCase();
    const person = [...store.people.values()].find((one) => !one.deleted && [one.handle, one.name.toLowerCase()].includes(typed));
    if (person) return [{ type: "user", user_id: person.id }];
    const group = [...store.groups.values()].find((one) => one.handle === typed);
    return group ? [{ type: "usergroup", usergroup_id: group.id }] : null;
  }
  const place = [...store.channels.values()].find((one) => one.name === channel && !one.im);
  return place ? [{ type: "channel", channel_id: place.id }] : null;
}

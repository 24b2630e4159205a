// Block Kit drawn: every block that an app can send, for whatever surface it stands on.

import { collapseHeight } from "./collapse.js";
import { h, link } from "./dom.js";
import { drawElement, image } from "./elements.js";
import { mrkdwn, plain, textNodes, spoken } from "./mrkdwn.js";
import { richText } from "./richtext.js";

/** The blocks as nodes; `errors` are the sentences beside fields, by block id. */
export function blocks(surface, list, errors = {}) {
  return (list ?? []).map((block) => {
    const draw = BLOCKS[block.type] ?? other;
    const node = draw(surface, block, errors[block.block_id]);
    node.classList.add("block");
    node.dataset.block = block.block_id ?? "";
    return node;
  });
}

function section(surface, block) {
  const words = block.text && h("div.section-text", {}, textNodes(block.text));
  const text = words && surface.key && !block.expand ? collapseHeight(words, `${surface.key} ${block.block_id}`, "See more") : words;
  const fields = block.fields && h("div.fields", {}, block.fields.map((field) => h("div.field-text", {}, textNodes(field))));
  const accessory = block.accessory && h("div.accessory", {}, drawElement(surface, block, block.accessory, block.text ? spoken(block.text) : ""));
  return h(`div.section${block.accessory?.type === "image" ? ".with-picture" : ""}`, {}, h("div.section-main", {}, text, fields), accessory);
}

const header = (_, block) => h("h3.header", {}, textNodes(block.text));

const divider = () => h("hr.divider");

const context = (_, block) =>
  h("div.context", {}, block.elements.map((element) => (element.type === "image" ? h("span.context-picture", {}, image(element, true)) : h("span", {}, textNodes(element)))));

const actions = (surface, block) => h("div.actions", { role: "group" }, block.elements.map((element) => drawElement(surface, block, element, "")));

function picture(_, block) {
  return h("figure.image", {}, block.title && h("figcaption", {}, textNodes(block.title)), image(block));
}

function input(surface, block, error) {
  const label = spoken(block.label);
  const node = h("div.input", {}, h("div.label", { aria: { hidden: "true" } }, textNodes(block.label), block.optional && h("span.optional", {}, " (optional)")));
  const element = drawElement(surface, block, block.element, label);
  node.append(element);
  if (error) {
    const id = `error-${block.block_id}`;
    const field = element.matches("input, textarea, fieldset") ? element : element.querySelector("input, textarea");
    field?.setAttribute("aria-invalid", "true");
    field?.setAttribute("aria-describedby", id);
    node.classList.add("wrong");
    node.append(h("div.error", { id, role: "alert" }, error));
  }
  if (block.hint) node.append(h("div.hint", {}, textNodes(block.hint)));
  return node;
}

const rich = (_, block) => h("div.rich-text", {}, richText(block));

function video(_, block) {
  return h("div.card-box", {}, h("div", {}, "▶ ", link(block.title_url ?? block.video_url ?? "", textNodes(block.title))), block.description && h("div.small", {}, textNodes(block.description)));
}

function table(_, block) {
  const cell = (tag) => (one, column) => h(tag, { class: block.column_settings?.[column]?.align === "right" ? "right" : "" }, one.type === "rich_text" ? richText(one) : plain(one.text ?? ""));
  const [first, ...rest] = block.rows ?? [];
  return h("div.table-box", {}, h("table", {}, h("thead", {}, h("tr", {}, (first ?? []).map(cell("th")))), h("tbody", {}, rest.map((row) => h("tr", {}, row.map(cell("td")))))));
}

/** Markdown, of which the common part is drawn. */
function markdown(_, block) {
  const lines = String(block.text ?? "").split("\n");
  const nodes = lines.map((line) => {
    const heading = /^(#{1,6}) +(.*)$/.exec(line);
    const translated = (text) => mrkdwn(text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replace(/\*\*(.+?)\*\*/g, "*$1*").replace(/\[([^\]]+)\]\((https?:[^)\s]+)\)/g, "<$2|$1>"));
    if (heading) return h("div.markdown-heading", {}, translated(heading[2]));
    const item = /^\s*[-*] +(.*)$/.exec(line);
    return h("div", {}, item ? ["• ", translated(item[1])] : translated(line));
  });
  return h("div.markdown", {}, nodes);
}

function alert(_, block) {
  return h(`div.alert-box.${/^[a-z]+$/.test(block.level ?? "") ? block.level : "default"}`, { role: "note" }, textNodes(block.text));
}

function card(surface, block) {
  return h(
    "div.card-box",
    {},
    block.hero_image && image(block.hero_image),
    block.title && h("strong", {}, textNodes(block.title)),
    block.subtitle && h("div.small", {}, textNodes(block.subtitle)),
    block.body && h("div", {}, textNodes(block.body)),
    block.subtext && h("div.small", {}, textNodes(block.subtext)),
    block.actions && h("div.actions", {}, block.actions.map((element) => drawElement(surface, block, element, ""))),
  );
}

const carousel = (surface, block) => h("div.carousel", {}, (block.elements ?? []).map((one) => card(surface, one)));

const container = (surface, block) =>
  h("div.card-box", {}, block.title && h("strong", {}, textNodes(block.title)), block.subtitle && h("div.small", {}, textNodes(block.subtitle)), blocks(surface, block.child_blocks));

const file = (_, block) => h("div.card-box", {}, "📄 ", block.external_id ?? "file");

/** A block that is drawn nowhere else: all that can be read in it. */
function other(_, block) {
  const texts = [];
  const read = (value) => {
    if (Array.isArray(value)) value.forEach(read);
    else if (value && typeof value === "object") {
      if (typeof value.text === "string") texts.push(value.text);
      Object.values(value).forEach(read);
    }
  };
  read(block);
  return h("div.card-box", {}, h("div.small", {}, String(block.type)), texts.map((text) => h("div", {}, plain(text))));
}

const BLOCKS = {
  section,
  header,
  divider,
  context,
  actions,
  context_actions: actions,
  image: picture,
  input,
  rich_text: rich,
  video,
  table,
  data_table: table,
  markdown,
  alert,
  card,
  carousel,
  container,
  file,
};

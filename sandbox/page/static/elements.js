// What can be used in blocks: buttons, menus, fields. Each says what was done to its surface; none knows
// whether that is a message, a form or a Home.

import { add, fill, follow, fresh, h, icon, link, toast } from "./dom.js";
import { complete } from "./complete.js";
import { refocus } from "./focus.js";
import { zoomable } from "./lightbox.js";
import { menuButton } from "./menu.js";
import { plain, textNodes, spoken } from "./mrkdwn.js";
import { matching, select } from "./picker.js";
import { fromMarkup, toMarkup } from "./richtext.js";
import { store } from "./store.js";
import { fromField, toField } from "./time.js";

/**
 * A surface is {use(block, element, value), fill(block, element, value, dispatch), options(block, element, typed),
 * state(block, element), form}: `use` acts at once, `fill` keeps a value for a form's submission.
 */
export function drawElement(surface, block, element, label) {
  const draw = ELEMENTS[element.type];
  return draw ? draw(surface, block, element, label) : unknown(element);
}

const unknown = (element) => h("span.unknown", {}, `(${element.type})`);

/** Asks the question that an element wants answered before it counts. */
export function confirmed(confirm) {
  if (!confirm) return Promise.resolve(true);
  return new Promise((resolve) => {
    const title = fresh("title");
    const dangerous = confirm.style === "danger"; // then Enter alone does nothing
    const dialog = h("dialog.confirm", { aria: { labelledby: title } });
    const back = document.activeElement;
    const answer = (value) => {
      dialog.close();
      dialog.remove();
      refocus(back);
      resolve(value);
    };
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      answer(false);
    });
    add(
      dialog,
      h("h2", { id: title }, textNodes(confirm.title)),
      h("div.confirm-text", {}, textNodes(confirm.text)),
      h(
        "div.dialog-buttons",
        {},
        h("button.button", { type: "button", autofocus: dangerous, onclick: () => answer(false) }, confirm.deny ? textNodes(confirm.deny) : "Cancel"),
        h(`button.button.${dangerous ? "danger-filled" : "primary"}`, { type: "button", autofocus: !dangerous, onclick: () => answer(true) }, confirm.confirm ? textNodes(confirm.confirm) : "Yes"),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Does something that goes to the app, and shows meanwhile that it is on its way. */
async function doing(element, run, confirm) {
  if (!(await confirmed(confirm))) return;
  element.classList.add("busy");
  element.setAttribute("aria-busy", "true");
  try {
    await run();
  } catch (error) {
    toast(error.message);
  } finally {
    element.classList.remove("busy");
    element.removeAttribute("aria-busy");
  }
}

function button(surface, block, element) {
  const style = { primary: ".primary", danger: ".danger" }[element.style] ?? "";
  const made = h(`button.button${style}`, {
    type: "button",
    aria: { label: element.accessibility_label ?? null },
    onclick: () => {
      if (element.url) follow(element.url);
      doing(made, () => surface.use(block, element, null), element.confirm);
    },
  });
  return add(made, textNodes(element.text));
}

// -- menus

const asOption = (option, group) => ({
  text: spoken(option.text),
  nodes: textNodes(option.text),
  note: option.description ? spoken(option.description) : undefined,
  value: option.value,
  group,
  url: option.url,
});

const staticOptions = (element) =>
  element.options
    ? element.options.map((option) => asOption(option))
    : (element.option_groups ?? []).flatMap((group) => group.options.map((option) => asOption(option, spoken(group.label))));

function menu(surface, block, element, label) {
  const multiple = element.type.startsWith("multi_");
  const kind = element.type.replace("multi_", "");
  const state = surface.state(block, element);
  const source = SOURCES[kind];
  const chosen = source.chosen(state, multiple);
  const made = select({
    label: label || spoken(element.placeholder) || "Choose",
    placeholder: element.placeholder ? spoken(element.placeholder) : "",
    multiple,
    most: element.max_selected_items ?? 100,
    least: kind === "external_select" ? (element.min_query_length ?? 3) : 0,
    chosen,
    required: block.type === "input" ? !block.optional : undefined,
    options: (typed) => source.options(surface, block, element, typed),
    changed: (picked) => {
      const value = multiple ? picked.map((option) => option.value) : (picked[0]?.value ?? null);
      doing(made.box, () => surface.fill(block, element, value, true), element.confirm);
    },
  });
  return made.box;
}

const optionChosen = (state, multiple) => (multiple ? (state?.selected_options ?? []) : state?.selected_option ? [state.selected_option] : []).map((option) => asOption(option));

const idChosen = (key) => (state, multiple) => {
  const ids = multiple ? (state?.[`${key}s`] ?? []) : state?.[key] ? [state[key]] : [];
  return ids.map((id) => ({ text: nameOf(id), value: id }));
};

const nameOf = (id) => {
  const channel = store.channels.get(id);
  return channel && !channel.im ? `#${channel.name}` : (store.called(id) ?? id);
};

const people = () => [...store.people.values()].filter((person) => !person.deleted).map((person) => ({ text: person.name, note: `@${person.handle}`, value: person.id }));

const places = (withPeople) =>
  [...store.channels.values()].filter((channel) => !channel.archived && (withPeople || (!channel.im && !channel.private))).map((channel) => ({ text: channel.im ? store.app.name : `#${channel.name}`, value: channel.id }));

const SOURCES = {
  static_select: { chosen: optionChosen, options: (_, __, element, typed) => matching(staticOptions(element), typed) },
  external_select: {
    chosen: optionChosen,
    options: async (surface, block, element, typed) => (await surface.options(block, element, typed)).map((option) => asOption(option)),
  },
  users_select: { chosen: idChosen("selected_user"), options: (_, __, ___, typed) => matching(people(), typed) },
  channels_select: { chosen: idChosen("selected_channel"), options: (_, __, ___, typed) => matching(places(false), typed) },
  conversations_select: {
    chosen: idChosen("selected_conversation"),
    options: (_, __, ___, typed) => matching([...places(true), ...people()], typed),
  },
};

function overflow(surface, block, element) {
  return menuButton(
    { class: "button overflow" },
    icon("more"),
    () =>
      element.options.map((option) => ({
        ...asOption(option),
        run: () => {
          if (option.url) follow(option.url);
          doing(document.body, () => surface.use(block, element, option.value), element.confirm);
        },
      })),
    "More actions",
  );
}

// -- choices that are all shown

function choices(kind) {
  return (surface, block, element, label) => {
    const name = fresh("choice");
    const state = surface.state(block, element);
    const several = kind === "checkbox";
    const chosen = new Set((several ? (state?.selected_options ?? []) : state?.selected_option ? [state.selected_option] : []).map((option) => option.value));
    const box = h("fieldset.choices", { aria: { label } });
    const changed = () => {
      const values = [...box.querySelectorAll("input:checked")].map((input) => input.value);
      doing(box, () => surface.fill(block, element, several ? values : (values[0] ?? null), true), element.confirm);
    };
    return add(
      box,
      element.options.map((option) =>
        h(
          "label.choice",
          {},
          h("input", { type: kind, name, value: option.value, checked: chosen.has(option.value), onchange: changed }),
          h("span", {}, textNodes(option.text), option.description && h("span.choice-note", {}, textNodes(option.description))),
        ),
      ),
    );
  };
}

// -- fields

const FILL_AFTER_MS = 250;

function field(surface, block, element, label, given, multiline = false) {
  const value = surface.state(block, element)?.value ?? "";
  const dispatched = new Set(element.dispatch_action_config?.trigger_actions_on ?? (block.dispatch_action ? ["on_enter_pressed"] : []));
  const dispatches = block.dispatch_action;
  let timer;
  let told = value;
  const tell = (dispatch) => {
    clearTimeout(timer);
    if (made.value === told && !dispatch) return;
    told = made.value;
    doing(made, () => surface.fill(block, element, made.value, dispatch));
  };
  const made = h(multiline ? "textarea.field" : "input.field", {
    ...given,
    rows: multiline ? 4 : null,
    value,
    placeholder: element.placeholder ? spoken(element.placeholder) : null,
    autofocus: element.focus_on_load,
    aria: { label, required: block.optional ? null : "true" },
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => tell(dispatches && dispatched.has("on_character_entered")), FILL_AFTER_MS);
    },
    onchange: () => tell(false),
    onkeydown: (event) => {
      if (event.key !== "Enter" || multiline) return;
      if (dispatches && dispatched.has("on_enter_pressed")) {
        event.preventDefault();
        tell(true);
      }
    },
  });
  made.dataset.flush = `${block.block_id} ${element.action_id}`;
  made.flush = () => tell(false);
  made.touched = () => made.value !== value;
  return made;
}

function textInput(surface, block, element, label) {
  return field(surface, block, element, label, { type: "text" }, Boolean(element.multiline));
}

function number(surface, block, element, label) {
  return field(surface, block, element, label, { type: "text", inputmode: element.is_decimal_allowed ? "decimal" : "numeric" });
}

/** A text field that takes markup, mentions and emoji, with the buttons for them. */
function richTextInput(surface, block, element, label) {
  let timer;
  const drawn = toMarkup(surface.state(block, element)?.rich_text_value);
  let told = drawn;
  const tell = (dispatch) => {
    clearTimeout(timer);
    if (area.value === told && !dispatch) return;
    told = area.value;
    doing(area, () => surface.fill(block, element, fromMarkup(area.value), dispatch));
  };
  const area = h("textarea.field.rich-field", {
    rows: 5,
    value: told,
    placeholder: element.placeholder ? spoken(element.placeholder) : null,
    autofocus: element.focus_on_load,
    aria: { label, required: block.optional ? null : "true" },
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => tell(false), FILL_AFTER_MS);
    },
    onchange: () => tell(false),
  });
  area.dataset.flush = `${block.block_id} ${element.action_id}`;
  area.flush = () => tell(false);
  area.touched = () => area.value !== drawn;
  const wrap = (before, after = before) => {
    const { selectionStart: start, selectionEnd: end } = area;
    area.setRangeText(before + area.value.slice(start, end) + after, start, end, "end");
    if (start === end) area.selectionEnd = area.selectionStart -= after.length;
    area.focus();
    area.dispatchEvent(new Event("input"));
  };
  const tool = (sign, name, run) => h("button.plain.tool", { type: "button", tabindex: "-1", title: name, aria: { label: name }, onclick: run }, sign);
  const box = h(
    "div.rich-box",
    {},
    h(
      "div.tools",
      { role: "toolbar", aria: { label: "Formatting" } },
      tool(h("b", {}, "B"), "Bold", () => wrap("*")),
      tool(h("i", {}, "I"), "Italic", () => wrap("_")),
      tool(h("s", {}, "S"), "Strikethrough", () => wrap("~")),
      tool(h("code", {}, "<>"), "Code", () => wrap("`")),
      tool("•", "List", () => wrap("\n• ", "")),
      tool("❝", "Quote", () => wrap("\n> ", "")),
      tool("@", "Mention", () => wrap("@", "")),
    ),
    area,
  );
  complete(area, { commands: false });
  return box;
}

function moment(type, key, toValue, fromValue) {
  return (surface, block, element, label) => {
    const state = surface.state(block, element)?.[key];
    const made = h("input.field.moment", {
      type,
      value: state === null || state === undefined ? "" : fromValue(state),
      title: element.placeholder ? spoken(element.placeholder) : null,
      aria: { label },
      onchange: () => doing(made, () => surface.fill(block, element, made.value ? toValue(made.value) : null, true), element.confirm),
    });
    return made;
  };
}

function fileInput(surface, block, element, label) {
  const list = h("ul.file-list");
  const made = h("input.field", {
    type: "file",
    multiple: (element.max_files ?? 10) > 1,
    accept: element.filetypes ? element.filetypes.map((type) => `.${type}`).join(",") : null,
    aria: { label },
    onchange: () =>
      doing(made, async () => {
        const ids = [];
        for (const file of made.files) ids.push(await surface.upload(file));
        fill(list, [...made.files].map((file) => h("li", {}, file.name)));
        await surface.fill(block, element, ids, false);
      }),
  });
  return h("div", {}, made, list);
}

const same = (value) => value;

const ELEMENTS = {
  button,
  workflow_button: button,
  static_select: menu,
  external_select: menu,
  users_select: menu,
  channels_select: menu,
  conversations_select: menu,
  multi_static_select: menu,
  multi_external_select: menu,
  multi_users_select: menu,
  multi_channels_select: menu,
  multi_conversations_select: menu,
  overflow,
  checkboxes: choices("checkbox"),
  radio_buttons: choices("radio"),
  plain_text_input: textInput,
  email_text_input: (s, b, e, l) => field(s, b, e, l, { type: "email" }),
  url_text_input: (s, b, e, l) => field(s, b, e, l, { type: "url" }),
  number_input: number,
  rich_text_input: richTextInput,
  datepicker: moment("date", "selected_date", same, same),
  timepicker: moment("time", "selected_time", same, same),
  datetimepicker: moment("datetime-local", "selected_date_time", fromField, toField),
  file_input: fileInput,
  image: (_, __, element) => image(element),
};

/** The address under which the page itself has a picture, or null for one from elsewhere. */
export function ownPicture(source) {
  const url = source.slack_file?.url ?? source.image_url ?? source.url ?? "";
  const id = source.slack_file?.id ?? /\/files-pri\/[^/]+?-(F[A-Z0-9]+)\//.exec(url)?.[1] ?? /\/files\/[^/]+\/(F[A-Z0-9]+)\//.exec(url)?.[1];
  return id ? `/page/files/${encodeURIComponent(id)}` : null;
}

/** A picture; one from elsewhere is not fetched, only linked. */
export function image(source, small = false) {
  const own = ownPicture(source);
  const alt = source.alt_text ?? "";
  if (own && small) return h("img.picture", { src: own, alt, loading: "lazy" });
  if (own) return zoomable(own, alt);
  return h("span.picture.outside", { title: "Pictures from elsewhere are not fetched here" }, link(source.image_url ?? "", "🖼 ", plain(alt || "picture")));
}

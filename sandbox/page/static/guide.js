// The steps of a guided path, as whoever set the workspace up has written them, with a tick at what is done.

import { fill, h, icon, toast } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";
import { store } from "./store.js";

export class GuidePane {
  constructor(closed) {
    this.list = h("ol.steps");
    this.box = h(
      "aside.pane.guide-pane",
      { aria: { label: "Guided path" } },
      h("header.pane-head", {}, h("h2", {}, "Guided path"), h("button.plain", { type: "button", title: "Close", aria: { label: "Close the guided path" }, onclick: closed }, icon("close"))),
      h("div.scroll", {}, this.list),
    );
    store.on("state", () => this.draw());
    store.on("hello", () => this.draw());
  }

  draw() {
    const steps = store.state.guide;
    const next = steps.findIndex((step) => !step.done);
    const drawn = JSON.stringify(steps) + store.me?.id;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    fill(
      this.list,
      steps.map((step, index) =>
        h(
          "li.step",
          { class: step.done ? "done" : index === next ? "next" : "", aria: { current: index === next ? "step" : null } },
          h("div.step-title", {}, h("span.step-sign", {}, step.done ? [h("span", { aria: { hidden: "true" } }, "✓"), h("span.unseen", {}, "Done: ")] : String(index + 1)), h("strong", {}, step.title)),
          h("div.step-text", {}, mrkdwn(step.text)),
          index === next && step.as && step.as !== store.me?.id && this.switchTo(step),
          index === next && step.place && step.as === store.me?.id && goThere(step.place),
          step.button && press(step.button),
        ),
      ),
    );
  }

  switchTo(step) {
    const url = new URL(location.href);
    url.searchParams.set("as", step.as);
    if (step.place && step.place !== "trouble") url.hash = step.place;
    return h("a.button.primary", { href: url.href }, `Be ${store.called(step.as) ?? step.as}`);
  }
}

function press(label) {
  const act = () => store.act("guide", { button: label }).then(() => toast("Done. Look at the channel.", "done"), (error) => toast(error.message));
  return h("button.button", { type: "button", onclick: act }, label);
}

function goThere(place) {
  if (place === "trouble") return h("button.button", { type: "button", onclick: () => store.say("trouble") }, "Open the inspector");
  return h("a.button", { href: `#${place}`, onclick: () => store.say("go") }, "Go there");
}

// The app's Home, as it was published for this person.

import { blocks } from "./blocks.js";
import { fill, h, icon } from "./dom.js";
import { viewSurface } from "./forms.js";
import { store } from "./store.js";

export class HomePane {
  constructor() {
    this.body = h("div.home-body");
    this.box = h("div.scroll.home", {}, this.body);
    this.open = false;
    store.on("views", () => this.open && this.draw());
    store.on("clock", () => {
      this.shown = null;
      if (this.open) this.draw();
    });
  }

  show() {
    this.open = true;
    this.shown = null;
    this.draw();
    store.act("home").catch(() => {});
  }

  hide() {
    this.open = false;
  }

  draw() {
    const view = store.views.home;
    if (!view) {
      fill(this.body, h("div.nothing", {}, h("p", {}, `${store.app.name} has not published a Home for you yet.`), h("p.small", {}, "It is told each time that you open this tab.")));
      return;
    }
    if (this.shown === view.hash) return;
    this.shown = view.hash;
    const focused = this.body.contains(document.activeElement) ? document.activeElement.textContent : null;
    fill(
      this.body,
      h("div.home-tools", {}, h("button.plain", { type: "button", title: "Inspect", aria: { label: "Inspect the Home" }, onclick: () => store.say("inspect", { view: view.id }) }, icon("code"))),
      blocks(viewSurface(view), view.blocks, view.errors),
    );
    if (focused) [...this.body.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
  }
}

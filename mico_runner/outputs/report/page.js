"use strict";
// Marks of figures say what they are under the mouse and with the keyboard's focus; a layer is followed through all sections.
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const tip = document.getElementById("tip");
  const panel = document.getElementById("layer");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const REACH = 10; // pixels around a mark that is smaller than a finger or an unsteady hand
  let followed = null;
  let left = null; // where the focus was before a layer was followed

  const element = (name, text, parent) => {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  };

  const show = (mark) => {
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("aria-label");
    const at = mark.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const above = at.top - own.height - 8;
    tip.style.left = Math.max(4, Math.min(at.left, innerWidth - own.width - 4)) + "px";
    tip.style.top = Math.max(4, above < 4 ? Math.min(at.bottom + 8, innerHeight - own.height - 4) : above) + "px";
  };

  const under = (event) => {
    const exact = event.target.closest(".mark");
    const figure = event.target.closest("svg");
    if (exact || !figure) return exact;
    let [nearest, least] = [null, REACH];
    for (const mark of all(".mark", figure)) {
      const box = mark.getBoundingClientRect();
      const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
      const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
      const away = Math.hypot(dx, dy);
      if (away < least) [nearest, least] = [mark, away];
    }
    return nearest;
  };

  const follow = (layer) => {
    if (!(layer in facts)) layer = null;
    if (followed === null) left = document.activeElement;
    followed = layer;
    all(".on").forEach((each) => each.classList.remove("on"));
    panel.hidden = layer === null;
    panel.replaceChildren();
    history.replaceState(null, "", layer === null ? "#" : "#layer=" + encodeURIComponent(layer));
    if (layer === null) {
      if (left) left.focus({ preventScroll: true });
      return;
    }
    const places = all("[data-layer]").filter((each) => each.dataset.layer === layer);
    places.forEach((each) => each.classList.add("on"));
    element("h2", layer, panel);
    const list = element("dl", "", panel);
    for (const [topic, text] of facts[layer]) {
      element("dt", topic, list);
      element("dd", text, list);
    }
    const sections = new Map();
    for (const place of places) {
      const section = place.closest("section");
      const known = sections.get(section);
      if (section && (!known || (known.closest("details:not([open])") && !place.closest("details:not([open])")))) sections.set(section, place);
    }
    for (const [section, place] of sections) {
      element("button", section.querySelector("h2").textContent, panel).addEventListener("click", () => {
        const folded = place.closest("details");
        if (folded) folded.open = true;
        place.scrollIntoView({ block: "center" });
        (place.matches("tr") ? place.querySelector("button") || place : place).focus({ preventScroll: true });
      });
    }
    element("button", "Close (Esc)", panel).addEventListener("click", () => follow(null));
  };

  const followable = (event) => {
    const mark = event.target.closest(".mark[data-layer], button.follow") || under(event);
    return mark && mark.dataset.layer;
  };

  document.addEventListener("pointermove", (event) => show(under(event)));
  document.addEventListener("focusin", (event) => show(event.target.closest(".mark")));
  document.addEventListener("focusout", () => show(null));
  document.addEventListener("click", (event) => {
    const layer = followable(event);
    if (layer) follow(layer);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      show(null);
      if (followed !== null) follow(null);
      return;
    }
    const mark = event.target.closest(".mark");
    if (!mark) return;
    if (event.key === "Enter" || event.key === " ") {
      if (mark.dataset.layer) follow(mark.dataset.layer);
    } else if (/^Arrow|^Home$|^End$/.test(event.key)) {
      const marks = all(".mark", mark.closest("svg"));
      const here = marks.indexOf(mark);
      const to = { Home: 0, End: marks.length - 1 }[event.key] ?? here + (/Left|Up/.test(event.key) ? -1 : 1);
      const next = marks[Math.max(0, Math.min(to, marks.length - 1))];
      mark.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    } else {
      return;
    }
    event.preventDefault();
  });

  for (const figure of all("svg")) {
    const first = figure.querySelector(".mark"); // Tab reaches a figure once; the arrows go on inside
    if (first) first.setAttribute("tabindex", "0");
  }
  const followAddress = () => {
    const asked = decodeURIComponent((location.hash.match(/^#layer=(.*)$/) || [])[1] || "");
    if (asked) follow(asked);
  };
  addEventListener("hashchange", followAddress);
  followAddress();
})();

// The path for a newcomer. The backend knows what has happened; this shows it, and leads to the place where to go on.

import { h, keyed, say } from "./dom.js";

const part = (name) => document.getElementById(`tour-${name}`);

/** lead: by step, what "Show me" does. */
export function tour(lead) {
  let steps = [];
  let chosen = null; // the step somebody looks at instead of the next one

  part("show").addEventListener("click", () => {
    const step = current();
    if (step) lead[step.step_id]();
  });

  const next = () => steps.find(({ done }) => !done) ?? null;
  const current = () => steps.find(({ step_id }) => step_id === chosen) ?? next();

  function update(news) {
    const before = next()?.step_id;
    steps = news;
    if (next()?.step_id !== before) chosen = null; // what was done moves the tour on
    draw();
  }

  function draw() {
    const step = current();
    const items = steps.map((each) => ({ ...each, current: each === step }));
    keyed(part("steps"), items, ({ step_id }) => step_id, stepButton);
    say(part("how"), step ? step.how : "That was the tour. Let Ada answer once more: it stays in Outlook now.");
    part("show").hidden = !step;
  }

  function stepButton({ step_id, title }) {
    const mark = h("span", { class: "mark", "aria-hidden": "true" });
    const state = h("span", { class: "unseen" });
    const button = h("button", { type: "button" }, mark, h("span", { text: title }), state);
    button.addEventListener("click", () => {
      chosen = step_id;
      draw();
    });
    const item = h("li", {}, button);
    item.update = ({ done, current: isCurrent }) => {
      say(mark, done ? "✓" : `${steps.findIndex((each) => each.step_id === step_id) + 1}`);
      say(state, done ? " (done)" : "");
      item.classList.toggle("done", done);
      button.setAttribute("aria-current", isCurrent ? "step" : "false");
    };
    return item;
  }

  return { update };
}

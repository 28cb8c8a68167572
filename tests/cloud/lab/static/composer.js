// The one form behind everything that is written here, in the CRM, in Outlook and by the world outside.

import { h } from "./dom.js";
import { filePicker } from "./files.js";

let count = 0;

/**
 * A form.
 *
 * title, hint: above it. fields: [{name, label, value, type, options, list}], in order; `options` makes a select.
 * text: what the message begins with. send: the button. files: "closed" or "open". submit(values) may throw Refused.
 * cancel: called for Cancel; without it there is no such button.
 */
export function composer({ title, hint, fields = [], text = "", placeholder, send, files = "closed", sample, rows = 5, submit, cancel }) {
  const id = `compose-${++count}`;
  const inputs = new Map();
  const picker = filePicker({ open: files === "open" });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const words = h("textarea", { id: `${id}-text`, rows, required: true, placeholder });
  words.value = text;
  const button = h("button", { class: "primary", text: send });
  const form = h(
    "form",
    { class: "composer", "aria-labelledby": title ? `${id}-title` : null, "aria-label": title ? null : send },
    title ? h("h3", { id: `${id}-title`, text: title }) : null,
    hint ? h("p", { class: "soft", text: hint }) : null,
    ...fields.map((field) => labelled(`${id}-${field.name}`, field, inputs)),
    h("label", { class: title ? "field" : "unseen", for: words.id, text: "Message" }),
    words,
    picker,
    problem,
    h(
      "div",
      { class: "buttons" },
      button,
      cancel ? h("button", { type: "button", text: "Cancel", on: { click: cancel } }) : null,
    ),
  );
  if (sample) picker.add(sample);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    problem.hidden = true;
    try {
      const values = Object.fromEntries([...inputs].map(([name, input]) => [name, input.value]));
      await submit({ ...values, text: words.value, files: picker.chosen() });
    } catch (refusal) {
      problem.textContent = refusal.files?.length ? ["Nothing was sent.", ...refusal.files.map(inWords)].join("\n") : refusal.message;
      problem.hidden = false;
      problem.scrollIntoView({ block: "nearest" });
    } finally {
      button.disabled = false;
    }
  });
  form.focusFirst = () => ([...inputs.values()].find((input) => !input.value) ?? words).focus();
  return form;
}

const REASONS = {
  too_large: "is larger than 3 MiB",
  type_not_allowed: "is of a type that is not sent",
  content_mismatch: "is not what its name says",
};
const inWords = ({ name, reason }) => `${name} ${REASONS[reason] ?? reason}.`;

function labelled(id, { name, label, value = "", type = "text", options, list }, inputs) {
  const input = options
    ? h("select", { id }, ...options.map((option) => h("option", { value: option.value, text: option.label })))
    : h("input", { id, type, list: list ? `${id}-list` : null, autocomplete: "off" });
  if (value || !options) input.value = value;
  inputs.set(name, input);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id, text: label }),
    input,
    list ? h("datalist", { id: `${id}-list` }, ...list.map((value) => h("option", { value }))) : null,
  );
}

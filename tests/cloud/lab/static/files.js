// Choosing files for an email: one's own, or samples that show each side of the attachment rule.

import { h, size } from "./dom.js";
import { read } from "./server.js";

let samples;

/** A fieldset; its `chosen()` is what the backend takes as `files`, `add(sampleId)` puts a sample on it. */
export function filePicker({ open = false } = {}) {
  const chosen = [];
  const list = h("ul", { class: "files" });
  const input = h("input", { type: "file", multiple: true, hidden: true });
  const offered = h("div", { class: "chips" });
  const own = h("button", { type: "button", class: "chip", text: "Your own file …", on: { click: () => input.click() } });
  const picker = h(
    "details",
    { class: "picker", open },
    h("summary", { text: "Attach files" }),
    offered,
    input,
  );
  const box = h("div", {}, list, picker);

  input.addEventListener("change", async () => {
    for (const file of input.files) {
      const content_base64 = await asBase64(file);
      put({ name: file.name, content_type: file.type, content_base64 }, `${file.name} · ${size(file.size)}`);
    }
    input.value = "";
  });
  const ready = offer();

  async function offer() {
    samples ??= read("/samples");
    const known = await samples.catch(() => ((samples = undefined), []));
    for (const { sample, name, says, fate } of known) {
      offered.append(
        h(
          "button",
          { type: "button", class: "chip", "data-fate": fate, on: { click: () => put({ sample }, `${name} · ${says}`) } },
          h("b", { text: name }),
          ` ${says}`,
        ),
      );
    }
    offered.append(own);
    return known;
  }

  function put(file, label) {
    chosen.push(file);
    const remove = h("button", { type: "button", class: "quiet", text: "Remove", "aria-label": `Remove ${label}` });
    const row = h("li", {}, h("span", { class: "name", text: label }), remove);
    remove.addEventListener("click", () => {
      chosen.splice(chosen.indexOf(file), 1);
      row.remove();
      picker.querySelector("summary").focus();
    });
    list.append(row);
  }

  box.chosen = () => [...chosen];
  box.add = async (wanted) => {
    const known = (await ready).find(({ sample }) => sample === wanted);
    if (known) put({ sample: known.sample }, `${known.name} · ${known.says}`);
  };
  return box;
}

function asBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

// Building and updating the page. Text from data only ever becomes text: nothing here writes HTML.

/** An element. `props`: `text`, `class`, `on` ({event: handler}), anything else is an attribute (null and false: none). */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set the text of an element if it is another one: what stays the same is neither redrawn nor read out again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const kept = new WeakMap();

/**
 * Make the children of `list` show `items`, in order. Nodes stay the same for the same key, so that focus, scrolling and
 * frames survive. `create(item)` returns a node with a method `update(item)`. What comes later than the first fill is fresh.
 */
export function keyed(list, items, keyOf, create) {
  const before = kept.get(list);
  const nodes = new Map();
  let place = list.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const text = JSON.stringify(item);
    const entry = before?.get(key) ?? { node: create(item), text: null };
    if (entry.text !== text) entry.node.update(item);
    entry.text = text;
    nodes.set(key, entry);
    if (before && !before.has(key)) entry.node.classList.add("fresh");
    if (entry.node === place) place = place.nextElementSibling;
    else list.insertBefore(entry.node, place);
  }
  for (const [key, entry] of before ?? []) if (!nodes.has(key)) entry.node.remove();
  kept.set(list, nodes);
}

/** Forget what `list` showed: its next fill is a first one. */
export function cleared(list) {
  kept.delete(list);
  list.replaceChildren();
}

/** A moment (RFC 3339 or null) as the reader's clock shows it; the date too when it is not today. */
export function time(at) {
  const node = h("time");
  node.update = (moment) => {
    if (!moment) return node.replaceChildren();
    const when = new Date(moment);
    const today = when.toDateString() === new Date().toDateString();
    node.dateTime = moment;
    say(node, when.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" }));
  };
  node.update(at);
  return node;
}

/** A size in bytes as a person says it. */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Point at an element for a moment, and put it in sight. */
export function point(node) {
  if (!node) return;
  node.scrollIntoView({ block: "nearest" });
  node.classList.remove("pointed");
  requestAnimationFrame(() => node.classList.add("pointed"));
}

/**
 * The body of an email in a frame that can neither run nor load anything; as high as what is in it.
 * `shown` is called once it is there.
 */
export function mailFrame(url, title, shown = () => {}) {
  const frame = h("iframe", { class: "mail", src: url, title, sandbox: "allow-same-origin" });
  frame.addEventListener("load", () => {
    const body = frame.contentDocument?.body;
    if (!body) return;
    const fit = () => (frame.style.height = `${Math.ceil(body.getBoundingClientRect().height) + 2}px`);
    new ResizeObserver(fit).observe(body);
    fit();
    shown();
  });
  return frame;
}

/** The files of an email: to be saved, or left out and why. */
export function fileList(attachments) {
  if (!attachments.length) return null;
  return h(
    "ul",
    { class: "files", "aria-label": "Files" },
    ...attachments.map(({ name, size_bytes, download, skipped }) =>
      h(
        "li",
        { class: skipped ? "skipped" : null },
        skipped || !download
          ? h("span", { class: "name", text: name })
          : h("a", { class: "name", href: download, download: name, text: name }),
        h("span", { class: "soft", text: skipped ? `${size_bytes.toLocaleString()} bytes` : size(size_bytes) }),
        skipped ? h("span", { class: "reason", text: skipped }) : null,
      ),
    ),
  );
}

/** Fill a select, without disturbing whoever has it open. `pair(item)` is [value, label]. */
export function choices(select, items, pair, chosen) {
  const text = JSON.stringify(items.map(pair));
  if (select.dataset.items !== text) {
    select.replaceChildren(...items.map(pair).map(([value, label]) => h("option", { value, text: label })));
    select.dataset.items = text;
    select.value = chosen;
  }
  if (select.value !== chosen && document.activeElement !== select) select.value = chosen;
}

// The reading pane: one message of the mailbox, whether it is in the CRM, and what its owner can do with it.

import { composer } from "./composer.js";
import { fileList, h, mailFrame, say, time } from "./dom.js";
import { act, read } from "./server.js";

const KINDS = { reply: "Reply", replyAll: "Reply all", forward: "Forward" };

/** A view of a message of the list: `node`, `update(message)`, `reply(kind)`, and whether it `isDraft`. */
export function messageView(email, message, { refresh, openInCrm, close }) {
  const place = `/mailbox/${email}/messages/${message.id}`;
  const says = h("span");
  const link = h("button", { type: "button", class: "quiet", text: "Show in CRM" });
  const verdict = h("p", { class: "verdict" }, says, link);
  const writing = h("div");
  const content = h("div", { class: "content" }, h("p", { class: "soft", text: "Opening …" }));
  const tools = h("div", { class: "toolbar", role: "group", "aria-label": "What to do with this message" });
  const node = h("article", { class: "reading" }, tools, verdict, writing, content);
  let latest = message;

  link.addEventListener("click", () => openInCrm(latest.sync.thread_id, latest.sync.message_id));
  if (!message.is_draft) {
    for (const [kind, label] of Object.entries(KINDS)) tools.append(button(label, () => reply(kind)));
  }
  tools.append(
    h("span", { class: "grow" }),
    button("Unread", () => then(act(`${place}/mark`, { read: false }))),
    message.folder === "inbox" ? button("Archive", () => leave(act(`${place}/move`, { folder: "archive" }))) : "",
    button("Delete", () => leave(act(`${place}/delete`))),
  );

  function button(text, click) {
    return h("button", { type: "button", text, on: { click } });
  }

  async function then(action) {
    await action.catch((refusal) => content.prepend(h("p", { class: "notice bad", role: "alert", text: refusal.message })));
    await refresh();
  }

  async function leave(action) {
    close();
    await then(action);
  }

  function reply(kind) {
    const form = composer({
      title: KINDS[kind],
      hint: "Written in Outlook, sent through Outlook.",
      fields: kind === "forward" ? [{ name: "to", label: "To" }] : [],
      send: "Send",
      cancel: () => {
        writing.replaceChildren();
        tools.querySelector("button").focus();
      },
      submit: async ({ text, to, files }) => {
        await act(`${place}/answer`, { kind, text, files, ...(to ? { to } : {}) });
        writing.replaceChildren(h("p", { class: "notice good", role: "status", text: "Sent. Its copy is in Sent Items." }));
        tools.querySelector("button").focus();
        await refresh();
      },
    });
    writing.replaceChildren(form);
    form.focusFirst();
  }

  async function fill() {
    const opened = await read(place);
    const who = ({ name, address }) => (name === address ? address : `${name} <${address}>`);
    content.replaceChildren(
      h("h3", { text: opened.subject || "(no subject)" }),
      h("p", { class: "line" }, h("b", { text: who(opened.from) }), h("span", { class: "grow" }), time(opened.at)),
      h("p", { class: "soft", text: `To ${opened.to.map(who).join(", ")}` }),
      opened.cc.length ? h("p", { class: "soft", text: `Cc ${opened.cc.map(who).join(", ")}` }) : "",
      fileList(opened.attachments) ?? "",
      mailFrame(opened.body, `Body of “${opened.subject}”`),
    );
  }

  function update(news) {
    latest = news;
    say(says, news.sync.says);
    verdict.dataset.state = news.sync.state;
    link.hidden = !news.sync.thread_id;
  }

  update(message);
  fill().catch((refusal) => content.replaceChildren(h("p", { class: "notice bad", text: refusal.message })));
  return { node, update, reply, isDraft: message.is_draft };
}

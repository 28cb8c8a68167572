// One conversation in the CRM: its messages in order, how each came here, and a line to answer with.

import { composer } from "./composer.js";
import { fileList, h, keyed, mailFrame, point, say, time } from "./dom.js";

/** A view of a thread: `node`, `update(thread)`, and `point(messageId)`, true once that message is here. */
export function threadView({ thread_id }, { findInMailbox, answer }) {
  const subject = h("h3");
  const people = h("span", { class: "soft" });
  const state = h("span", { class: "chip" });
  const messages = h("ol", { class: "messages" });
  const stopped = h("p", { class: "notice", hidden: true });
  stopped.textContent =
    "The connection that this conversation began with has ended: nothing syncs here any more. An email from here takes it up again, once the same mailbox is connected.";
  let following = false; // bodies grow as they load: the end is shown until somebody looks elsewhere
  let idempotencyKey = crypto.randomUUID();
  const reply = answerForm();
  const node = h(
    "article",
    { class: "thread" },
    h("header", {}, subject, h("p", { class: "line" }, people, state)),
    messages,
    stopped,
    h("div", { class: "reply" }, reply),
  );

  for (const event of ["wheel", "pointerdown", "keydown"]) {
    node.addEventListener(event, () => (following = false), { passive: true });
  }

  function answerForm() {
    const form = composer({
      send: "Answer",
      placeholder: "Write an answer …",
      rows: 2,
      submit: async (values) => {
        await answer(thread_id, values, idempotencyKey);
        idempotencyKey = crypto.randomUUID();
        const next = answerForm();
        form.replaceWith(next);
        next.focusFirst();
      },
    });
    return form;
  }

  function update(thread) {
    say(subject, thread.subject || "(no subject)");
    say(people, `with ${thread.contacts}`);
    say(state, thread.state === "active" ? "In sync" : "Stopped");
    state.dataset.state = thread.state;
    stopped.hidden = thread.state === "active";
    const before = messages.childElementCount;
    keyed(messages, thread.messages, ({ message_id }) => message_id, messageCard);
    if (messages.childElementCount > before) toEnd();
  }

  /** Show the end of the conversation, until somebody looks elsewhere. Only this pane moves, not the page. */
  function toEnd() {
    following = true;
    const pane = node.parentElement;
    if (pane) pane.scrollTop = pane.scrollHeight;
  }

  function messageCard(message) {
    const at = time(null);
    const status = h("span", { class: "chip" });
    const problem = h("p", { class: "notice bad", hidden: true });
    const lost = h("p", { class: "soft small", role: "status" });
    const find = h("button", { type: "button", class: "quiet", text: "Show in mailbox" });
    const card = h(
      "li",
      { class: message.direction, "data-message": message.message_id },
      h("p", { class: "line" }, h("b", { text: message.from }), h("span", { class: "soft", text: `to ${message.to}` }), at),
      mailFrame(message.body, `Email from ${message.from}`, () => following && toEnd()),
      fileList(message.attachments),
      problem,
      h(
        "p",
        { class: "small" },
        h("span", { class: "soft", text: [message.origin_words, message.why].filter(Boolean).join(" · ") }),
        " ",
        status,
        message.internal ? h("span", { class: "chip", text: "no contact on it" }) : "",
        " ",
        find,
      ),
      lost,
    );
    let latest = message;
    find.addEventListener("click", async () => {
      const found = await findInMailbox(latest.internet_message_id);
      say(lost, found ? "" : "It is not in the mailbox any more.");
    });
    card.update = (news) => {
      latest = news;
      at.update(news.at);
      say(status, news.origin === "crm" ? news.status_words : "");
      status.dataset.state = news.status;
      say(problem, news.problem ?? "");
      problem.hidden = !news.problem;
      find.hidden = !news.internet_message_id;
    };
    return card;
  }

  function pointAt(messageId) {
    const card = [...messages.children].find((each) => each.dataset.message === messageId);
    if (card) following = false;
    point(card);
    return Boolean(card);
  }

  return { node, update, point: pointAt };
}

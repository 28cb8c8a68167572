// What is written on the right: a new mail of the mailbox's owner, and mail from the world outside.

import { composer } from "./composer.js";
import { act } from "./server.js";

//: Who writes from outside. Any address may; these are at hand.
const SENDERS = [
  { name: "Ada Quist", address: "ada@customer.example" },
  { name: "Ben Rossi", address: "ben@builder.example" },
  { name: "Sam Weller", address: "sam@elsewhere.example" },
];
const ADDRESSES = SENDERS.map(({ address }) => address);

/** A mail begun in Outlook. */
export function newMail(email, preset = {}, { done, cancel }) {
  return composer({
    title: "New mail",
    hint: "Begun in Outlook, so it stays private: the CRM never hears of it, whoever it goes to.",
    fields: [
      { name: "to", label: "To", value: preset.to, list: ADDRESSES },
      { name: "subject", label: "Subject", value: preset.subject },
    ],
    text: preset.text,
    rows: 7,
    send: "Send",
    cancel,
    submit: async (values) => {
      const { id } = await act(`/mailbox/${email}/messages`, values);
      await done(id);
    },
  });
}

/** Somebody outside writes. answerable: messages of the list that they may answer, the likeliest first. */
export function incoming({ email, name }, answerable, preset, { done, cancel }) {
  const as = answerable.map(({ id, subject }) => ({ value: id, label: `an answer to “${subject || "(no subject)"}”` }));
  as.push({ value: "", label: "a new mail" });
  const form = composer({
    title: "Receive from outside",
    hint: `You are somebody else now, and write to ${name}.`,
    fields: [
      { name: "sender", label: "From", value: preset.from ?? counterpart(answerable[0]), list: ADDRESSES },
      { name: "answers", label: "As", options: as },
      { name: "subject", label: "Subject", value: preset.subject },
    ],
    text: preset.text ?? "Thank you! See what I attached.",
    files: "open",
    sample: preset.sample,
    send: "Deliver",
    cancel,
    submit: async ({ sender, answers, subject, text, files }) => {
      const known = SENDERS.find(({ address }) => address === sender);
      await act(`/mailbox/${email}/incoming`, {
        sender_address: sender,
        sender_name: known?.name ?? sender.split("@")[0],
        subject,
        text,
        files,
        answers: answers || null,
      });
      await done();
    },
  });
  const [as_, subject] = ["answers", "subject"].map((field) => form.querySelector(`[id$="-${field}"]`));
  const fit = () => (subject.closest(".field").hidden = as_.value !== "");
  as_.addEventListener("change", fit);
  fit();
  return form;
}

function counterpart(answered) {
  if (!answered) return ADDRESSES[0];
  const known = SENDERS.find(({ name, address }) => answered.to.includes(name) || answered.to.includes(address));
  return (known ?? SENDERS.find(({ address }) => address === answered.from_address) ?? SENDERS[0]).address;
}

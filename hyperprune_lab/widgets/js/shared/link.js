// What goes to the kernel and comes back. The browser never writes a trait: it sends messages, the pump answers.
const ANSWER_SECONDS = 6;

function link(model) {
  const waiting = new Map();
  let serial = model.get("heard") ?? 0;
  let next = 0;
  const answered = (content, buffers) => {
    if (content?.kind !== "answer") return;
    const resolve = waiting.get(content.id);
    waiting.delete(content.id);
    const own = [...(buffers ?? [])];
    if (content.padded) own.pop();
    resolve?.(content.ok ? { content: content.content, buffers: own } : { problem: content.content });
  };
  model.on("msg:custom", answered);
  return {
    live: !model.static,
    // Fire and forget; the kernel reports how far it has heard in the trait "heard".
    send(kind, content) {
      serial += 1;
      model.send({ ...content, kind, serial });
      return serial;
    },
    behind: () => (model.get("heard") ?? 0) < serial,
    // Ask for something that is too large or too rare for the payload. Of questions with one key only the newest
    // is answered. Resolves to {content, buffers}, {problem} or, without a kernel, null.
    ask(what, key = null) {
      if (model.static) return Promise.resolve(null);
      next += 1;
      const id = next;
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        setTimeout(() => waiting.delete(id) && resolve(null), ANSWER_SECONDS * 1000);
        serial += 1;
        model.send({ kind: "ask", id, key, what, serial });
      });
    },
    close: () => model.off("msg:custom", answered),
  };
}

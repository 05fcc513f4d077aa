// A model without a kernel: what a report or a test page hands to render() instead of the live one.
export function staticModel(state) {
  const values = { ...state };
  const listeners = new Map();
  return {
    static: true,
    get: (name) => values[name],
    set(name, value) {
      values[name] = value;
      for (const event of [`change:${name}`, "change"]) for (const call of listeners.get(event) ?? []) call();
    },
    on: (event, call) => listeners.set(event, [...(listeners.get(event) ?? []), call]),
    off: (event, call) => listeners.set(event, (listeners.get(event) ?? []).filter((other) => other !== call)),
    save_changes() {},
    send() {},
  };
}

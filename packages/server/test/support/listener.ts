import { type ListenerOptions, noListenerLimits } from "../../src/net/Listener.ts"

/** On any free port of this machine, without limits of its own. */
export const localListener = (name: string, rest: Partial<ListenerOptions> = {}): ListenerOptions => ({
  name,
  at: { host: "127.0.0.1", port: 0 },
  isProxied: false,
  limits: noListenerLimits,
  ...rest
})

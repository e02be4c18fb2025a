const charactersMax = 200

/**
 * The origin that the journal tells of a command: a client of a protocol, and what led to it, such as `mqtt sensor-7 will`. A client id
 * may be longer than an origin: it is cut, and `what` is told as it is.
 */
export const originOf = (protocol: "mqtt" | "kafka", clientId: string, what: string): string =>
  `${protocol} ${clientId}`.slice(0, charactersMax - what.length) + what

import { anonymous, type Principal } from "@logbrook/core/access/Access"

const charactersMax = 200
/** So much of the client is told however long the rest is, which a principal of 256 characters may make it. */
const clientCharactersMin = 60

/** The place of a client that has connected, behind its id: `@127.0.0.1`, or ` by alice@127.0.0.1` where it has said who it is. */
export const placeOf = ({ name }: Principal, address: string): string =>
  name === anonymous.name ? `@${address}` : ` by ${name}@${address}`

/** The user of a log line; undefined where the client was not asked. */
export const userOf = ({ name }: Principal): string | undefined => (name === anonymous.name ? undefined : name)

/**
 * The origin that the journal tells of a command: a client of a protocol, and what led to it, such as `mqtt sensor-7 will`. A client id
 * may be longer than an origin: it is cut, and `what` is told as it is.
 */
export const originOf = (protocol: "mqtt" | "kafka", clientId: string, what: string): string =>
  `${protocol} ${clientId}`.slice(0, Math.max(clientCharactersMin, charactersMax - what.length)) + what

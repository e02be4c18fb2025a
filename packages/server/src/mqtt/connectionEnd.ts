import type { ConnectionEnd } from "@logbrook/actors/session/SessionProtocol"
import { type Disconnect, MqttError } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { secondMs } from "./Message.ts"
import type { Fields } from "../Log.ts"

/** A reason code as people know it. */
export const codeText = (code: number): string => `0x${code.toString(16).padStart(2, "0")}`

/** As an origin in the journal names it. */
export const endText = (end: ConnectionEnd): string => {
  switch (end.by) {
    case "client":
      return `DISCONNECT ${codeText(end.reasonCode)}`
    case "socket":
      return `socket ${end.error}`
    case "protocol":
      return `protocol ${codeText(end.reasonCode)}`
    case "keep alive":
      return "keep alive timeout"
    default:
      return end.by
  }
}

/** As a log line names it. */
export const endFields = (end: ConnectionEnd): Fields => {
  switch (end.by) {
    case "client":
    case "protocol":
      return { by: end.by, code: codeText(end.reasonCode), reason: end.reason }
    case "socket":
      return { by: end.by, error: end.error }
    case "keep alive":
      return { by: end.by, keepAliveMs: end.keepAliveMs }
    case "server":
      return { by: end.by, reason: end.reason }
    default:
      return { by: end.by }
  }
}

/** A client's own words, in the journal. */
const reasonCharactersMax = 200

/** The end that a client's DISCONNECT tells. */
export const endByClient = ({ reasonCode, properties }: Disconnect): ConnectionEnd => {
  const reason = properties.reasonString?.slice(0, reasonCharactersMax)
  return { by: "client", reasonCode, ...(reason !== undefined && { reason }) }
}

/**
 * The expiry that DISCONNECT asks for, in ms, for a session that CONNECT has given `expiryMs`; null: none. Throws `MqttError` for one
 * that a session may not have any more (MQTT 5, 3.14.2.2.2).
 */
export const expiryAfter = ({ properties }: Disconnect, expiryMs: number, expiryMsMax: number): number | null => {
  const { sessionExpiryIntervalSeconds: asked } = properties
  if (asked === undefined) return null
  if (asked > 0 && expiryMs === 0) {
    throw new MqttError(ReasonCode.ProtocolError, "a session that ends with its connection gets no expiry later")
  }
  return Math.min(asked * secondMs, expiryMsMax)
}

interface Goodbye {
  readonly code: number
  readonly reasonString: string
  readonly serverReference?: string
}

/**
 * The DISCONNECT that tells a client of MQTT 5 why the server ends its connection. `serverReference`: where the clients of a server
 * that stops are sent.
 */
export const disconnectOf = (end: ConnectionEnd, serverReference: string | null): Goodbye => {
  switch (end.by) {
    case "protocol":
      return { code: end.reasonCode, reasonString: end.reason }
    case "keep alive":
      return { code: ReasonCode.KeepAliveTimeout, reasonString: "nothing came within the keep alive time" }
    case "slow consumer":
      return { code: ReasonCode.QuotaExceeded, reasonString: "the client does not take what is sent" }
    case "frame stall":
      return { code: ReasonCode.ProtocolError, reasonString: "a packet was begun and not completed in time" }
    case "takeover":
      return { code: ReasonCode.SessionTakenOver, reasonString: "another connection has the session now" }
    case "kick":
      return { code: ReasonCode.AdministrativeAction, reasonString: "closed by an operator" }
    case "server stop":
      if (serverReference !== null) {
        return { code: ReasonCode.UseAnotherServer, reasonString: "the server stops", serverReference }
      }
      return { code: ReasonCode.ServerShuttingDown, reasonString: "the server stops" }
    case "server":
      return { code: ReasonCode.UnspecifiedError, reasonString: end.reason }
    case "client":
    case "socket":
    case "restart":
      return { code: ReasonCode.UnspecifiedError, reasonString: "closed by the server" }
  }
}

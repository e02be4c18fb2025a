import type { ConnectionId, SessionCommand, SessionKind } from "@logbrook/actors/session/SessionProtocol"
import type { Principal } from "@logbrook/core/access/Access"
import type { OnAnswer } from "@logbrook/core/actor/Kind"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { ProtocolVersion } from "@logbrook/protocols/mqtt/Packet"
import type { Admission } from "../net/ConnectionGate.ts"
import type { MqttContext } from "./MqttContext.ts"

/** Told what a session's actor answers to a command. */
export type Reply<C extends SessionCommand = SessionCommand> = OnAnswer<typeof SessionKind, C>

/** Told of a command beside its reply. */
export interface AskWatch<C extends SessionCommand> {
  /** In the turn that decides it: `nextSeq` as in `Ask.late`. */
  readonly decides?: (nextSeq: Seq) => void
  /** Before the reply, and also if the connection is closed by then. */
  readonly answered: Reply<C>
}

/** A client and its connection, as whatever answers its packets knows them. */
export interface Client {
  readonly mqtt: MqttContext
  readonly id: ConnectionId
  /** Its principal, for what it may do. */
  readonly principal: Principal
  readonly clientId: string
  /** The memory that the connection has the server keep. */
  readonly admission: Admission
  readonly version: ProtocolVersion
  /** The client's Maximum Packet Size. */
  readonly packetSizeMax: number
  /** Request Problem Information: reason strings and user properties in every packet [MQTT-3.1.2-29]. */
  readonly wantsProblems: boolean
  /** The origin, in the journal, of what a packet of this client leads to. */
  readonly origin: (packet: string) => string
  /** A whole packet that the client has to have. False: it takes less, and its connection has ended [MQTT-3.1.2-24]. */
  readonly answer: (packet: Uint8Array) => boolean
  /** A whole packet, or its head and its payload. The bytes must not change from now on. */
  readonly send: (packet: Uint8Array, payload?: Uint8Array) => void
  /** To the session's actor; the reply is passed over once the connection is closed. */
  readonly ask: <const C extends SessionCommand>(
    packet: string,
    command: C,
    reply: Reply<C>,
    watch?: AskWatch<C>
  ) => void
  /** The journal does not go along: the client has to come again. */
  readonly lost: (reason: string) => void
}

import type { ConnectionId, SessionCommand, SessionKind } from "@logbrook/actors/session/SessionProtocol"
import type { Principal } from "@logbrook/core/access/Access"
import type { OnAnswer } from "@logbrook/core/actor/Kind"
import type { CommandList, ListAnswer } from "@logbrook/core/shard/CommandList"
import type { ProtocolVersion } from "@logbrook/protocols/mqtt/Packet"
import type { Admission } from "../net/ConnectionGate.ts"
import type { Mount } from "./MountPoint.ts"
import type { MqttContext } from "./MqttContext.ts"

/** Told what a session's actor answers to a command. */
export type Reply<C extends SessionCommand = SessionCommand> = OnAnswer<typeof SessionKind, C>

/** A client and its connection, as whatever answers its packets knows them. */
export interface Client {
  readonly mqtt: MqttContext
  /** The mount point of its listener. */
  readonly mount: Mount
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
  /** To the session's actor; the reply is passed over once the connection is closed. `answered` hears before it, in any case. */
  readonly ask: <const C extends SessionCommand>(
    packet: string,
    command: C,
    reply: Reply<C>,
    answered?: Reply<C>
  ) => void
  /** As `ask`, of commands that are to be decided together, all of the shard that has the session. */
  readonly askAll: (
    packet: string,
    list: CommandList,
    reply: (answer: ListAnswer) => void,
    answered: (answer: ListAnswer) => void
  ) => void
  /** Runs what no packet of the client and no answer to it leads to: whatever it throws ends this connection. */
  readonly guarded: (run: () => void) => void
  /** The journal does not go along: the client has to come again. */
  readonly lost: (reason: string) => void
}

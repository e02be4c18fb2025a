import * as Exit from "effect/Exit"
import type { Decision, Definition } from "@logbrook/core/actor/Definition"
import { type Address, address, kind } from "@logbrook/core/actor/Kind"

/** Publications of one client that were refused for one reason. */
export interface Refused {
  /** `0x87` of MQTT 5, `29 TOPIC_AUTHORIZATION_FAILED` of Kafka. */
  readonly code: string
  /** For people, of the first one. */
  readonly reason: string
  /** MQTT messages, Kafka record batches, or requests of a Kafka transaction. */
  readonly count: number
  /** The topic of the first message whose topic is known; null if no topic is known. */
  readonly topic: string | null
}

/** Records what the server refused of a client, a second or more together. */
export interface RecordRefusals {
  readonly _tag: "RecordRefusals"
  readonly protocol: "mqtt" | "kafka"
  /** Null: of a will, whose client may have gone. */
  readonly address: string | null
  readonly refused: ReadonlyArray<Refused>
}

/** In a second at most one of each client. */
export interface PublicationsRefused extends Omit<RecordRefusals, "_tag"> {
  readonly _tag: "PublicationsRefused"
}

export const ClientKind = kind<{
  command: RecordRefusals
  replies: { readonly RecordRefusals: void }
  failure: never
  event: PublicationsRefused
  notice: never
}>()("client")

/** A Kafka client that does not tell its id is known by its address. */
export const clientActor = (clientId: string, peer: string | null): Address<typeof ClientKind> =>
  address(ClientKind, clientId === "" ? (peer ?? "?") : clientId)

/** There is nothing to remember: the events are for whoever reads the journal. */
type ClientState = null

type ClientDecision = Decision<typeof ClientKind>

/** A client of either protocol, `client/<client id>`, as the one whose publications were refused: it has no state. */
export const Client: Definition<typeof ClientKind, ClientState> = {
  kind: ClientKind.name,
  version: 1,
  initial: () => null,
  decide: (_state, { protocol, address: peer, refused }): ClientDecision => ({
    events: [{ _tag: "PublicationsRefused", protocol, address: peer, refused }],
    reply: Exit.void,
    signals: []
  }),
  evolve: (state) => state,
  resume: () => [],
  save: () => null,
  load: () => null,
  isEmpty: () => true
}

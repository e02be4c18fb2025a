import * as Exit from "effect/Exit"
import { actorId, type ActorId, type Decision, type Definition } from "@logbrook/core/actor/Definition"

/** Publications of one client that were refused for one reason. */
export interface Refused {
  /** `0x87` of MQTT 5, `29 TOPIC_AUTHORIZATION_FAILED` of Kafka. */
  readonly code: string
  /** For people, of the first one. */
  readonly reason: string
  /** MQTT messages, or Kafka record batches. */
  readonly count: number
  /** Of the first one whose topic is known; null: of none. */
  readonly topic: string | null
}

/** What the server refused of a client, a second or more together. */
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

export const clientKind = "client"

/** A Kafka client that does not tell its id is known by its address. */
export const clientActor = (clientId: string, address: string | null): ActorId =>
  actorId(clientKind, clientId === "" ? (address ?? "?") : clientId)

/** There is nothing to remember: the events are for whoever reads the journal. */
type ClientState = null

type ClientDecision = Decision<RecordRefusals, PublicationsRefused, void, never>

/** A client of either protocol, `client/<client id>`, as the one whose publications were refused: it has no state. */
export const Client: Definition<ClientState, RecordRefusals, PublicationsRefused, void, never> = {
  kind: clientKind,
  version: 1,
  initial: () => null,
  decide: (_state, { protocol, address, refused }): ClientDecision => ({
    events: [{ _tag: "PublicationsRefused", protocol, address, refused }],
    reply: Exit.void,
    signals: []
  }),
  evolve: (state) => state,
  resume: () => [],
  save: () => null,
  load: () => null,
  isEmpty: () => true
}

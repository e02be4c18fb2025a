import { randomBytes } from "node:crypto"
import { catalogActor, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import * as Exit from "effect/Exit"
import type { Later } from "./Answer.ts"
import { failureOf, type Failure } from "./errors.ts"
import type { RequestContext } from "./Handler.ts"

export interface FreeStream {
  readonly name: string
  /** -1: `kafka.defaultPartitions`. */
  readonly partitions: number
  readonly config: ReadonlyArray<readonly [name: string, value: string]>
  /** Checks everything, creates nothing. */
  readonly validateOnly: boolean
}

/** Answered once the stream is durable. Whoever calls it has asked whether the client may. */
export const createFreeStream = (
  context: RequestContext,
  { name, partitions, config, validateOnly }: FreeStream
): Later<Stream | Failure> => {
  const command = {
    _tag: "CreateStream",
    name,
    topicId: randomBytes(16).toString("base64url"),
    filters: [],
    partitions: partitions === -1 ? context.node.settings.defaultPartitions : partitions,
    key: "none",
    config,
    validateOnly
  } as const
  return context.ask(catalogActor, command, (exit) =>
    Exit.isFailure(exit) ? failureOf(exit.cause, KafkaError.NOT_CONTROLLER) : exit.value.stream
  )
}

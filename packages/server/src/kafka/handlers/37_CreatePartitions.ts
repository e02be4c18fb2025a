import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { CreatePartitions } from "@logbrook/protocols/kafka/messages/37_CreatePartitions"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { after, afterAll, type Answer } from "../Answer.ts"
import { failureOf, refused, type Failure } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded, namedTwice, topicTwice } from "../requestElements.ts"

// CreatePartitions 0-3: more partitions for a topic, of bound streams too unless they are compacted. Answered when they are
// durable. Left out: waiting for a part of the timeout, and assignments to other nodes.

const needs = { Topic: ["Alter"] } as const

type Context = ContextOf<typeof needs>
type Asked = RequestOf<typeof CreatePartitions>["topics"][number]

/** As many as there are new partitions, each on this node alone. */
const refuseAssignments = ({ assignments }: Asked, added: number, nodeId: number): Failure | undefined => {
  if (assignments === null) return undefined
  if (assignments.length !== added) {
    const message = `${added} partitions are added, but ${assignments.length} assignments are given.`
    return refused(KafkaError.INVALID_REPLICA_ASSIGNMENT, message)
  }
  const isHere = assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === nodeId)
  return isHere
    ? undefined
    : refused(KafkaError.INVALID_REPLICA_ASSIGNMENT, `Every partition is on node ${nodeId} alone.`)
}

const grow = (context: Context, asked: Asked, isTwice: boolean, validateOnly: boolean): Answer<Failure | undefined> => {
  const { name, count: partitions } = asked
  const { disk, nodeId } = context.node.broker
  const stream = context.topic("Alter", name)
  if (isFailure(stream)) return stream
  if (isTwice) return topicTwice
  if (disk.isLow) return refused(KafkaError.KAFKA_STORAGE_ERROR, "The disk is nearly full.")
  const added = partitions - stream.logIds.length
  const failure = added > 0 ? refuseAssignments(asked, added, nodeId) : undefined
  if (failure !== undefined) return failure
  return context.ask(catalogActor, { _tag: "AlterStream", name, partitions, validateOnly }, (exit) =>
    Exit.isSuccess(exit) ? undefined : failureOf(exit.cause, KafkaError.NOT_CONTROLLER)
  )
}

export const createPartitionsHandler = handler(CreatePartitions, {
  serves: [0, 3],
  needs,
  handle: (context, { topics, validateOnly }) => {
    const [some, violation] = bounded("CreatePartitions", "topics", topics)
    const twice = namedTwice(some, ({ name }) => name)
    const asked = new Map(some.map((topic) => [topic.name, topic]))
    const grown = Array.from(asked.values(), (topic) =>
      after(grow(context, topic, twice.has(topic.name), validateOnly), (failure) => ({
        name: topic.name,
        errorCode: failure?.code ?? KafkaError.NONE,
        errorMessage: failure?.message ?? null
      }))
    )
    return afterAll(grown, (results) => new Reply({ results }, { violation }))
  }
})

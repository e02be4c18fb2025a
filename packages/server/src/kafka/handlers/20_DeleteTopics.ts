import { catalogActor, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { afterAll, type Answer } from "../Answer.ts"
import { failureOf, type Failure } from "../errors.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { namedTwice, topicTwice } from "../requestElements.ts"

// DeleteTopics 1-6: by name, from v6 on by topic id too. Answered when the deletion is durable; the partitions and the
// offsets of groups go right after it. A stream can be deleted while the disk is full. A topic that is named twice stays.

interface Deleted {
  readonly name: string | null
  readonly topicId: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

interface Asked {
  readonly name: string | null
  readonly topicId: string
}

const byIdVersionMin = 6

const needs = { Topic: ["Delete"] } as const

type Context = ContextOf<typeof needs>

const streamOf = (context: Context, { name, topicId }: Asked): Stream | Failure =>
  name === null ? context.topicById("Delete", topicId) : context.topic("Delete", name)

const deleteTopic = (context: Context, asked: Asked): Answer<Deleted> => {
  const stream = streamOf(context, asked)
  if (isFailure(stream)) return { ...asked, errorCode: stream.code, errorMessage: stream.message }
  const { name, topicId } = stream
  return context.ask(catalogActor, { _tag: "DeleteStream", name }, (exit) => {
    if (Exit.isSuccess(exit)) return { name, topicId, errorCode: KafkaError.NONE, errorMessage: null }
    const { code, message } = failureOf(exit.cause, KafkaError.NOT_CONTROLLER)
    return { name, topicId, errorCode: code, errorMessage: message }
  })
}

/** The same for one topic, whether it is asked for by name or by id. */
const keyOf = (context: Context, asked: Asked): string => {
  const stream = streamOf(context, asked)
  return isFailure(stream) ? (asked.name ?? asked.topicId) : stream.topicId
}

export const deleteTopicsHandler = handler(DeleteTopics, {
  serves: [1, 6],
  needs,
  handle: (context, request, version) => {
    const topics =
      version >= byIdVersionMin ? request.topics : request.topicNames.map((name) => ({ name, topicId: zeroUuid }))
    const keyed = topics.map((asked) => [keyOf(context, asked), asked] as const)
    const twice = namedTwice(keyed, ([key]) => key)
    const first = new Map<string, Asked>()
    for (const [key, asked] of keyed) if (!first.has(key)) first.set(key, asked)
    const deleted = Array.from(first, ([key, asked]) =>
      twice.has(key)
        ? { ...asked, errorCode: topicTwice.code, errorMessage: topicTwice.message }
        : deleteTopic(context, asked)
    )
    return afterAll(deleted, (responses) => ({ responses }))
  }
})

import { catalogActor, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { afterAll, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { handler, type RequestContext } from "../Handler.ts"

// DeleteTopics 1-6: by name, from v6 on by topic id too. Answered when the deletion is durable; the partitions and the
// offsets of groups go right after it. A stream can be deleted while the disk is full. One that is named twice stays.

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

const streamOf = ({ node }: RequestContext, { name, topicId }: Asked): Stream | undefined =>
  name === null ? node.broker.directory.byTopicId(topicId) : node.broker.directory.byName(name)

const deleteTopic = (context: RequestContext, asked: Asked): Answer<Deleted> => {
  const stream = streamOf(context, asked)
  if (stream === undefined) {
    const errorCode = asked.name === null ? KafkaError.UNKNOWN_TOPIC_ID : KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    return { ...asked, errorCode, errorMessage: null }
  }
  const { name, topicId } = stream
  return context.ask(catalogActor, { _tag: "DeleteStream", name }, (exit) => {
    if (Exit.isSuccess(exit)) return { name, topicId, errorCode: KafkaError.NONE, errorMessage: null }
    const { code, message } = failureOf(exit.cause, KafkaError.NOT_CONTROLLER)
    return { name, topicId, errorCode: code, errorMessage: message }
  })
}

/** The topics that are asked for, each once: those that are named once, and those named again, by name or by id. */
const sorted = (context: RequestContext, topics: ReadonlyArray<Asked>) => {
  const first = new Map<string, Asked>()
  const twice = new Map<string, Asked>()
  for (const asked of topics) {
    const key = streamOf(context, asked)?.topicId ?? asked.name ?? asked.topicId
    const known = first.get(key)
    if (known === undefined) first.set(key, asked)
    else twice.set(key, known)
  }
  for (const key of twice.keys()) first.delete(key)
  return [[...first.values()], [...twice.values()]] as const
}

const refuseTwice = (asked: Asked): Deleted => ({
  ...asked,
  errorCode: KafkaError.INVALID_REQUEST,
  errorMessage: "The topic is in the request more than once."
})

export const deleteTopicsHandler = handler(DeleteTopics, {
  serves: [1, 6],
  handle: (context, request, version) => {
    const topics =
      version >= byIdVersionMin ? request.topics : request.topicNames.map((name) => ({ name, topicId: zeroUuid }))
    const [once, twice] = sorted(context, topics)
    const deleted = once.map((asked) => deleteTopic(context, asked))
    return afterAll(deleted, (results) => ({ responses: [...results, ...twice.map(refuseTwice)] }))
  }
})

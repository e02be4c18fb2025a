import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { askCatalog } from "../asks.ts"
import { failureOf, firstError } from "../errors.ts"
import { handler, type RequestContext } from "../Handler.ts"

// DeleteTopics 1-6: by name, from v6 on by topic id too. Answered when the deletion is durable; the partitions and the
// offsets of groups go right after it. A stream can be deleted while the disk is full.

interface Deleted {
  readonly name: string | null
  readonly topicId: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

const byIdVersionMin = 6

const deleteTopic = (
  context: RequestContext,
  asked: { readonly name: string | null; readonly topicId: string },
  settle: (deleted: Deleted) => void
): void => {
  const { directory } = context.node.broker
  const stream = asked.name === null ? directory.byTopicId(asked.topicId) : directory.byName(asked.name)
  if (stream === undefined) {
    const errorCode = asked.name === null ? KafkaError.UNKNOWN_TOPIC_ID : KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    return settle({ ...asked, errorCode, errorMessage: null })
  }
  const { name, topicId } = stream
  return askCatalog(context, { _tag: "DeleteStream", name }, (exit) => {
    if (Exit.isSuccess(exit)) return settle({ name, topicId, errorCode: KafkaError.NONE, errorMessage: null })
    const { code, message } = failureOf(exit.cause, KafkaError.NOT_CONTROLLER)
    return settle({ name, topicId, errorCode: code, errorMessage: message })
  })
}

export const deleteTopicsHandler = handler(DeleteTopics, [1, 6], (context, request, version, respond) => {
  const topics =
    version >= byIdVersionMin ? request.topics : request.topicNames.map((name) => ({ name, topicId: zeroUuid }))
  const responses: Array<Deleted> = []
  let open = topics.length
  if (open === 0) return respond({ responses })
  topics.forEach((asked, i) =>
    deleteTopic(context, asked, (deleted) => {
      responses[i] = deleted
      if (--open === 0) respond({ responses }, firstError(responses))
    })
  )
  return undefined
})

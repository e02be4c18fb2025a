import { isStreamName } from "@logbrook/core/StreamName"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { afterAll, type Answer } from "./Answer.ts"
import { refused, type Failure } from "./errors.ts"

// The rules for requests of many elements, such as topics, groups or partitions.

/** For elements of which each is a command of its own, or is answered by far more bytes than it has. */
const elementsMax = 1000

/** The first elements of a request up to the bound, and how it breaks the protocol if it has more: those are not answered. */
export const bounded = <T>(
  api: string,
  what: string,
  elements: ReadonlyArray<T>,
  countMax = elementsMax
): readonly [elements: ReadonlyArray<T>, violation: string | undefined] =>
  elements.length > countMax
    ? [elements.slice(0, countMax), `${api} of ${elements.length} ${what}`]
    : [elements, undefined]

/** The keys of those elements that a request has more than once. */
export const namedTwice = <T>(elements: Iterable<T>, keyOf: (element: T) => string): ReadonlySet<string> => {
  const once = new Set<string>()
  const twice = new Set<string>()
  for (const element of elements) {
    const key = keyOf(element)
    if (once.has(key)) twice.add(key)
    once.add(key)
  }
  return twice
}

/** A partition of a request, with what is asked of it. */
export interface AskedPartition<Asked> {
  readonly topic: string
  readonly asked: Asked
}

/** The partitions of a request, each once; of one that is named again the last counts, as for Kafka. */
export const partitionsOnce = <Asked>(
  topics: Iterable<readonly [topic: string, partitions: ReadonlyArray<Asked>]>,
  indexOf: (asked: Asked) => number
): ReadonlyArray<AskedPartition<Asked>> => {
  const found = new Map<string, AskedPartition<Asked>>()
  for (const [topic, partitions] of topics) {
    for (const asked of partitions) found.set(`${indexOf(asked)} ${topic}`, { topic, asked })
  }
  return [...found.values()]
}

/** The answers to partitions, by their topics. */
export const answersByTopic = <Asked, Answered>(
  partitions: ReadonlyArray<AskedPartition<Asked>>,
  answer: (topic: string, asked: Asked) => Answer<Answered>
): Answer<ReadonlyArray<{ readonly name: string; readonly partitions: ReadonlyArray<Answered> }>> => {
  const topics = Array.from(
    Map.groupBy(partitions, ({ topic }) => topic),
    ([name, own]) =>
      afterAll(
        own.map(({ asked }) => answer(name, asked)),
        (answered) => ({ name, partitions: answered })
      )
  )
  return afterAll(topics, (answered) => answered)
}

/** Kafka answers a topic that is named twice with it, and does nothing to the topic. */
export const topicTwice = refused(KafkaError.INVALID_REQUEST, "The topic is in the request more than once.")

/**
 * The failure of an API that tells a name which no topic may have from one of a topic that is not there. Kafka's internal
 * topics are not there, which is no fault of their names.
 */
export const failureOfName = (failure: Failure, name: string): Failure =>
  failure.code === KafkaError.UNKNOWN_TOPIC_OR_PARTITION && !isStreamName(name) && !name.startsWith("__")
    ? refused(KafkaError.INVALID_TOPIC_EXCEPTION, "The topic's name is none.")
    : failure

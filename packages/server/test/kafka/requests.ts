import type { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import type { RequestInputOf } from "@logbrook/protocols/kafka/Schema"

/** Requests in short, for tests. */

export const produceOf = (
  topic: string | { readonly topicId: string },
  records: Uint8Array | null,
  more: { readonly index?: number; readonly acks?: number; readonly transactionalId?: string | null } = {}
): RequestInputOf<typeof Produce> => ({
  transactionalId: more.transactionalId ?? null,
  acks: more.acks ?? -1,
  timeoutMs: 1000,
  topicData: [
    { ...(typeof topic === "string" ? { name: topic } : topic), partitionData: [{ index: more.index ?? 0, records }] }
  ]
})

export interface FetchOptions {
  readonly partition?: number
  readonly offset?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
  readonly isolationLevel?: number
}

export const fetchOf = (
  topic: string | { readonly topicId: string },
  options: FetchOptions = {}
): RequestInputOf<typeof Fetch> => ({
  maxWaitMs: options.maxWaitMs ?? 0,
  minBytes: options.minBytes ?? 1,
  maxBytes: options.maxBytes ?? 1024 * 1024,
  isolationLevel: options.isolationLevel ?? 0,
  topics: [
    {
      ...(typeof topic === "string" ? { topic } : topic),
      partitions: [
        {
          partition: options.partition ?? 0,
          currentLeaderEpoch: options.currentLeaderEpoch ?? -1,
          fetchOffset: options.offset ?? 0,
          lastFetchedEpoch: options.lastFetchedEpoch ?? -1,
          partitionMaxBytes: options.partitionMaxBytes ?? 1024 * 1024
        }
      ]
    }
  ]
})

/** The partition of a request about one. */
export const only = <P>(response: {
  readonly responses: ReadonlyArray<{ readonly partitions: ReadonlyArray<P> }>
}): P => response.responses[0]!.partitions[0]!

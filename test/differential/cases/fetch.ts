import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { RequestInputOf } from "@logbrook/protocols/kafka/Schema"
import { type Ask, type Case, type CaseOptions, every, type Family, single, versionsOf } from "../Case.ts"
import { nowhere, plain } from "../fixtures.ts"
import type { Side } from "../Side.ts"

export interface FetchAsk {
  readonly topic?: string
  readonly partition?: number
  readonly fetchOffset?: number
  readonly epoch?: number
  readonly lastFetchedEpoch?: number
  readonly isolationLevel?: number
}

export const fetchTopic = (side: Side, version: number, ask: FetchAsk) => {
  const { topic = plain, partition = 0, fetchOffset = 0, epoch, lastFetchedEpoch = -1 } = ask
  const currentLeaderEpoch = epoch === undefined ? -1 : side.leaderEpoch + epoch
  const asked = { partition, fetchOffset, currentLeaderEpoch, lastFetchedEpoch, partitionMaxBytes: 1_048_576 }
  return { ...(version >= 13 ? { topicId: side.idOf(topic) } : { topic }), partitions: [asked] }
}

export const fetchAsk =
  (ask: FetchAsk): Ask<typeof Fetch> =>
  (side, version) => ({
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_048_576,
    isolationLevel: ask.isolationLevel ?? 0,
    topics: [fetchTopic(side, version, ask)]
  })

const fetch = (): ReadonlyArray<Case> => {
  const asks: ReadonlyArray<readonly [string, FetchAsk]> = [
    ["from the start", {}],
    ["within a batch", { fetchOffset: 1 }],
    ["from the end", { partition: 2 }],
    ["above the end", { partition: 2, fetchOffset: 1 }],
    ["below the start", { fetchOffset: -1 }],
    ["read_committed", { isolationLevel: 1 }],
    ["no topic", { topic: nowhere }],
    ["no partition", { partition: 77 }],
    ["a negative partition", { partition: -1 }],
    ["the leader's epoch", { epoch: 0 }],
    ["an epoch to come", { epoch: 5 }]
  ]
  return asks.flatMap(([what, ask]) => every(Fetch, [4, 18], what, fetchAsk(ask)))
}

type SessionAsk = Partial<RequestInputOf<typeof Fetch>>

const inSession =
  (sessionEpoch: number, more: (side: Side, version: number) => SessionAsk = () => ({})): Ask<typeof Fetch> =>
  (side, version) => ({
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_048_576,
    sessionId: side.number("session"),
    sessionEpoch,
    topics: [],
    ...more(side, version)
  })

const learnSession: CaseOptions<typeof Fetch> = {
  learn: (side, { sessionId }) => void side.numbers.set("session", sessionId)
}

/** A session's life, once in each version; what is asked by id or by name must stay so. */
const fetchSessions = (version: number): ReadonlyArray<Case> => {
  const one = (what: string, ask: Ask<typeof Fetch>, options?: CaseOptions<typeof Fetch>): Case =>
    single(Fetch, version, `a session: ${what}`, ask, options)
  const three = (side: Side): SessionAsk => ({
    topics: [0, 1, 2].map((partition) => fetchTopic(side, version, { partition }))
  })
  const forgotten = (side: Side): SessionAsk => ({
    forgottenTopicsData: [{ ...(version >= 13 ? { topicId: side.idOf(plain) } : { topic: plain }), partitions: [1] }]
  })
  const asks = (ask: FetchAsk) => (side: Side) => ({ topics: [fetchTopic(side, version, ask)] })
  const fresh = (side: Side): SessionAsk => ({ ...three(side), sessionId: 0 })
  return [
    one("opened", inSession(0, fresh), learnSession),
    one("everything again", inSession(1)),
    one("no more of one partition", inSession(2, asks({ fetchOffset: 1_000_000 }))),
    one("an offset again that is there", inSession(3, asks({ fetchOffset: 2 }))),
    one("its end", inSession(4, asks({ partition: 1, fetchOffset: 1 }))),
    one("a partition that is not there", inSession(5, asks({ partition: 9 }))),
    one("a topic that is not there", inSession(6, asks({ topic: nowhere }))),
    one("a partition forgotten", inSession(7, forgotten)),
    one("an epoch again", inSession(7)),
    one("an epoch to come", inSession(12)),
    one(
      "an id that is none",
      inSession(1, () => ({ sessionId: 123_456 }))
    ),
    one(
      "no id",
      inSession(3, () => ({ sessionId: 0 }))
    ),
    one("opened anew", inSession(0, three), learnSession),
    one("the new one", inSession(1)),
    one("closed", inSession(-1)),
    one("when it is closed", inSession(2)),
    one(
      "opened with nothing",
      inSession(0, () => ({ sessionId: 0 })),
      learnSession
    ),
    one("nothing, and it ends", inSession(1)),
    one("none any more", inSession(2))
  ]
}

const sessionOfOtherKind: ReadonlyArray<Case> = [12, 13].flatMap((version) => [
  single(
    Fetch,
    version,
    "a session: opened",
    inSession(0, (side) => ({ sessionId: 0, topics: [fetchTopic(side, version, {})] })),
    learnSession
  ),
  single(Fetch, 25 - version, "a session: of the other kind", inSession(1))
])

export const fetchFamily: Family = {
  name: "fetch",
  topics: [],
  cases: () => [...fetch(), ...versionsOf([7, 18]).flatMap(fetchSessions), ...sessionOfOtherKind]
}

import * as Effect from "effect/Effect"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { groupActor, type CommittedOffset, type OffsetToCommit } from "@logbrook/actors/group/GroupProtocol"
import { groupStateName, type GroupState } from "@logbrook/actors/group/groupState"
import { committedOffset, listOffsets } from "@logbrook/actors/group/offsets/offsetTable"
import type { JournalError } from "@logbrook/core/journal/JournalError"
import { readingJournal } from "@logbrook/core/journal/readingJournal"
import { Pace } from "@logbrook/core/settle/Pace"
import type { Broker } from "../Broker.ts"
import { parsePoint, type At } from "../tools/point.ts"
import { onGroup, onStream, type Need } from "./access.ts"
import type { ResetOffsets } from "./Api.ts"
import { asked } from "./asked.ts"
import { groupNamed } from "./groups.ts"
import { EndpointRefused } from "./refusals.ts"

type Payload = typeof ResetOffsets.Type

/** Where a group's offsets are to be: at a point of each partition, or so many records on from where they are. */
type Target =
  | { readonly _tag: "To"; readonly to: "earliest" | "latest" | At }
  | { readonly _tag: "By"; readonly by: number }

/** A partition whose offset is reset. `before`: what is committed now; null: nothing is. */
export interface ResetOffset {
  readonly stream: string
  readonly partition: number
  readonly before: number | null
  readonly after: number
  readonly logStartOffset: number
  readonly highWatermark: number
}

/** The partitions of one reset: a request and its one commit stay small, whatever a group has. */
const placesMax = 10_000

interface Place {
  readonly stream: Stream
  readonly partition: number
}

const refuse = (code: EndpointRefused["code"], message: string): EndpointRefused =>
  new EndpointRefused({ code, message })

const offsetsOf = (state: GroupState | undefined): ReadonlyArray<CommittedOffset> =>
  state === undefined ? [] : listOffsets(state.offsets)

/** The streams whose offsets are reset: those that are named, else all that the group has offsets of. */
const streamNames = (broker: Broker, group: string, { streams }: Payload): ReadonlyArray<string> => {
  if (streams !== undefined) return streams.map(({ name }) => name)
  const committed = offsetsOf(groupNamed(broker, group))
  return [...new Set(committed.flatMap(({ topicId }) => broker.directory.byTopicId(topicId)?.name ?? []))]
}

/** As to commit the offsets. */
export const resetNeeds = (broker: Broker, group: string, payload: Payload): ReadonlyArray<Need> => [
  onGroup("Read", group),
  ...streamNames(broker, group, payload).map((name) => onStream("Read", name, broker))
]

const targetOf = ({ to, by }: Payload, nowMs: number): Effect.Effect<Target, EndpointRefused> => {
  if (to === undefined ? by === undefined : by !== undefined) {
    return refuse("BAD_REQUEST", "a reset has either to or by")
  }
  if (by !== undefined) return Effect.succeed({ _tag: "By", by })
  if (to === "earliest" || to === "latest") return Effect.succeed({ _tag: "To", to })
  const at = parsePoint(to!, nowMs)
  if (at !== undefined) return Effect.succeed({ _tag: "To", to: at })
  const help = "earliest, latest, an offset, a time such as 2026-01-31T12:00:00Z, or -5m before now"
  return refuse("BAD_REQUEST", `to is ${help}; not "${to}"`)
}

const committedPlaces = ({ directory }: Broker, state: GroupState | undefined): ReadonlyArray<Place> =>
  offsetsOf(state).flatMap(({ topicId, partition }): ReadonlyArray<Place> => {
    const stream = directory.byTopicId(topicId)
    return stream?.logIds[partition] === undefined ? [] : [{ stream, partition }]
  })

const twiceOf = <A>(values: ReadonlyArray<A>): A | undefined => {
  const seen = new Set<A>()
  return values.find((value) => seen.size === seen.add(value).size)
}

type Chosen = NonNullable<Payload["streams"]>[number]

const placesOfStream = (
  { directory }: Broker,
  { name, partitions }: Chosen
): Effect.Effect<ReadonlyArray<Place>, EndpointRefused> => {
  const stream = directory.byName(name)
  if (stream === undefined) return refuse("UNKNOWN_STREAM", `no stream is named "${name}"`)
  const chosen = partitions ?? [...stream.logIds.keys()]
  const wrong = chosen.find((partition) => stream.logIds[partition] === undefined)
  if (wrong !== undefined) {
    return refuse("INVALID_PARTITIONS", `${name} has partitions 0 to ${stream.logIds.length - 1}, not ${wrong}`)
  }
  const twice = twiceOf(chosen)
  if (twice !== undefined) return refuse("BAD_REQUEST", `partition ${twice} of ${name} is named twice`)
  return Effect.succeed(chosen.map((partition) => ({ stream, partition })))
}

/** At most `placesMax`, and none of them twice. */
const placesOf = (
  broker: Broker,
  state: GroupState | undefined,
  { streams }: Payload
): Effect.Effect<ReadonlyArray<Place>, EndpointRefused> =>
  Effect.gen(function* () {
    const twice = twiceOf(streams?.map(({ name }) => name) ?? [])
    if (twice !== undefined) return yield* refuse("BAD_REQUEST", `the stream "${twice}" is named twice`)
    const places = streams === undefined ? [...committedPlaces(broker, state)] : []
    for (const chosen of streams ?? []) {
      places.push(...(yield* placesOfStream(broker, chosen)))
      if (places.length > placesMax) break
    }
    if (places.length <= placesMax) return places
    const text = `a reset takes ${placesMax} partitions at most: name fewer streams or partitions at a time`
    return yield* refuse("BAD_REQUEST", text)
  })

/** A log that never had a record. */
const emptyLog = { startOffset: 0, highWatermark: 0 }

const resetOf = (
  { shards }: Broker,
  { stream, partition }: Place,
  before: number | null,
  target: Target
): Effect.Effect<ResetOffset, EndpointRefused | JournalError> =>
  Effect.gen(function* () {
    const logId = stream.logIds[partition]!
    const logs = shards.logsOf(logId)
    const log = logs.find(logId)
    const { startOffset, highWatermark } = log ?? emptyLog
    const wanted = yield* readingJournal(() => {
      if (target._tag === "By") return before === null || before < 0 ? undefined : before + target.by
      const { to } = target
      if (to === "earliest") return startOffset
      if (to === "latest") return highWatermark
      if ("seq" in to) return to.seq
      // Nothing is as young: what comes next is.
      return (log && logs.offsetForTimestamp(log, to.timeMs)?.offset) ?? highWatermark
    })
    const place = `${stream.name}-${partition}`
    if (wanted === undefined) return yield* refuse("BAD_REQUEST", `${place} has no committed offset to go on from`)
    const after = Math.min(Math.max(wanted, startOffset), highWatermark)
    return { stream: stream.name, partition, before, after, logStartOffset: startOffset, highWatermark }
  })

/** Looking up a time reads a batch: behind so much of it others get a turn. */
const turnMsMax = 5

const resetsOf = (broker: Broker, state: GroupState | undefined, places: ReadonlyArray<Place>, target: Target) =>
  Effect.gen(function* () {
    const resets: Array<ResetOffset> = []
    const pace = new Pace(broker.clock, turnMsMax, 0)
    for (const place of places) {
      yield* Effect.promise(() => pace.step())
      const { stream, partition } = place
      const before = state && committedOffset(state.offsets, { topicId: stream.topicId, partition })
      resets.push(yield* resetOf(broker, place, before?.offset ?? null, target))
    }
    return resets
  })

/** Others had turns meanwhile. The group was told to forget a stream that was deleted then, and is not told again. */
const stillThere = ({ directory }: Broker, places: ReadonlyArray<Place>): Effect.Effect<void, EndpointRefused> => {
  const gone = places.find(({ stream }) => directory.byTopicId(stream.topicId) === undefined)
  return gone === undefined
    ? Effect.void
    : refuse("UNKNOWN_STREAM", `the stream "${gone.stream.name}" was deleted meanwhile: no offset was reset`)
}

/**
 * Commits other offsets for a group, within what each log has. As in Kafka the group has no members meanwhile; one that is not there is
 * made. `validateOnly`: only says what would be committed.
 */
export const resetGroupOffsets = (broker: Broker, name: string, payload: Payload) =>
  Effect.gen(function* () {
    const target = yield* targetOf(payload, broker.clock.nowMs())
    const state = groupNamed(broker, name)
    if (state === undefined && payload.streams === undefined) {
      return yield* refuse("UNKNOWN_GROUP", `no group is named "${name}"`)
    }
    if (state !== undefined && groupStateName(state) !== "Empty") {
      const text = `the group has members, its state is ${groupStateName(state)}: its offsets are reset once they have left`
      return yield* refuse("GROUP_HAS_MEMBERS", text)
    }
    const places = yield* placesOf(broker, state, payload)
    const offsets = yield* resetsOf(broker, state, places, target)
    yield* stillThere(broker, places)
    if (!payload.validateOnly && offsets.length > 0) {
      const toCommit = offsets.map(({ stream, partition, after }, i): OffsetToCommit => {
        const { topicId } = places[i]!.stream
        return { topicId, stream, partition, offset: after, leaderEpoch: -1, metadata: "" }
      })
      const command = { _tag: "CommitOffsets", generation: -1, memberId: "", groupInstanceId: null } as const
      const unavailable = "the group cannot answer: try again"
      const what = "http POST /groups/reset-offsets"
      yield* asked(broker, groupActor(name), { ...command, offsets: toCommit }, what, unavailable)
    }
    return { group: name, validateOnly: payload.validateOnly, offsets }
  })

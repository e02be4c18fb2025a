import * as Exit from "effect/Exit"
import type { Decision, Definition, Signal } from "@logbrook/core/actor/Definition"
import { type RepeatIntents, repeatAt, repeatIn, repeatNoMore } from "@logbrook/core/actor/Outbox"
import { persistentStates } from "@logbrook/core/actor/States"
import { InvalidKeyExpression, parseKeyExpression, type KeyLimits } from "@logbrook/core/KeyExpression"
import type { Limits } from "@logbrook/core/Limits"
import { type Room, unbounded } from "@logbrook/core/memory/MemoryAccount"
import { InvalidStreamName, validateStreamName, withoutDots } from "@logbrook/core/StreamName"
import { InvalidTopicFilter, validateBoundFilter } from "@logbrook/core/TopicFilter"
import {
  CatalogKind,
  CatalogRefused,
  isBound,
  type AlterStream,
  type CatalogCommand,
  type CatalogEvent,
  type CatalogRefusal,
  type CatalogReply,
  type CreateStream,
  type Deletion,
  type SavedStream,
  type Stream
} from "./CatalogProtocol.ts"
import { weightOfDeletion, weightOfStream } from "./streamWeight.ts"
import {
  changedList,
  effectiveConfig,
  InvalidConfig,
  settingOf,
  streamSettings,
  validateConfig,
  type ConfigLimits
} from "./StreamConfig.ts"

export interface CatalogState {
  readonly streams: ReadonlyMap<string, Stream>
  /** An outbox: deleted streams whose logs and offsets may still be there. */
  readonly deletions: ReadonlyArray<Deletion>
  /** The memory of all streams and deletions: see `streamWeight.ts`. Not saved. */
  readonly weightBytes: number
  readonly nextLogId: number
  readonly nextProducerId: number
}

export const CatalogStates = persistentStates<CatalogState>()(CatalogKind)

type CatalogDecision = Decision<typeof CatalogKind>
type CatalogLimits = Pick<Limits, "streamsMax" | "partitionsPerStreamMax" | "topicBytesMax" | "topicLevelsMax"> &
  ConfigLimits &
  KeyLimits

type Config = ReadonlyMap<string, string>

const boundPartitions = 16
const filtersMax = 64
/** Log id 1 is the internal log of messages that wait for durable sessions. */
const firstLogId = 2

const refused = (reason: CatalogRefusal, message: string): CatalogRefused => new CatalogRefused({ reason, message })

/** Validators throw errors of their own; the catalog answers with one. */
const reasonOf = (error: unknown): CatalogRefused => {
  if (error instanceof CatalogRefused) return error
  if (error instanceof InvalidStreamName) return refused("InvalidStreamName", error.message)
  if (error instanceof InvalidTopicFilter) return refused("InvalidFilter", error.message)
  if (error instanceof InvalidKeyExpression) return refused("InvalidKey", error.message)
  if (error instanceof InvalidConfig) return refused("InvalidConfig", error.message)
  throw error
}

const throwIfFiltersInvalid = (filters: ReadonlyArray<string>, limits: CatalogLimits): void => {
  if (filters.length > filtersMax) throw refused("InvalidFilter", `at most ${filtersMax} filters`)
  for (const filter of filters) validateBoundFilter(filter, limits)
  if (new Set(filters).size !== filters.length) throw refused("InvalidFilter", "a filter is given twice")
}

/** A bound stream whose records have no key has nothing to be compacted by. */
const throwIfWithoutKey = (filters: ReadonlyArray<string>, key: string, config: Config): void => {
  if (filters.length === 0 || key !== "none" || !effectiveConfig(config).isCompacted) return
  throw refused("InvalidConfig", "a compacted stream needs a key: topic, clientid, topic[N] or user-property:NAME")
}

const getOrThrow = (state: CatalogState, name: string): Stream => {
  const stream = state.streams.get(name)
  if (stream === undefined) throw refused("UnknownStream", `no stream is named "${name}"`)
  return stream
}

/** Those that an earlier version let both be made stay. */
const throwIfNameTaken = ({ streams }: CatalogState, name: string): void => {
  if (streams.has(name)) throw refused("StreamExists", `a stream named "${name}" exists`)
  const common = withoutDots(name)
  for (const other of streams.keys()) {
    if (other.length !== name.length || withoutDots(other) !== common) continue
    throw refused("InvalidStreamName", `"${name}" and the stream "${other}" differ in '.' and '_' only`)
  }
}

/** A stream that takes no more memory than before is never refused. */
const throwIfNoMemory = (growthBytes: number, room: Room): void => {
  if (growthBytes <= 0 || growthBytes <= room("streams")) return
  throw refused("NoMemory", "there is no memory for more streams, partitions or filters (limits.memoryBytesMax)")
}

const createStream = (state: CatalogState, command: CreateStream, nowMs: number, limits: CatalogLimits, room: Room) => {
  validateStreamName(command.name)
  throwIfNameTaken(state, command.name)
  if (state.streams.size >= limits.streamsMax) {
    throw refused("TooManyStreams", `the limit of ${limits.streamsMax} streams is reached`)
  }
  const partitions = command.partitions === -1 ? (command.filters.length > 0 ? boundPartitions : 1) : command.partitions
  throwIfTooManyPartitions(partitions, limits)
  throwIfFiltersInvalid(command.filters, limits)
  parseKeyExpression(command.key, limits)
  const config = new Map(command.config)
  validateConfig(config, limits)
  throwIfWithoutKey(command.filters, command.key, config)
  const stream: SavedStream = {
    name: command.name,
    topicId: command.topicId,
    logIds: Array.from({ length: partitions }, (_, partition) => state.nextLogId + partition),
    filters: command.filters,
    key: command.key,
    config: command.config,
    createdAtMs: nowMs
  }
  throwIfNoMemory(weightOfStream(stream), room)
  const reply: CatalogReply = { _tag: "Stream", stream: restored(stream) }
  const events: ReadonlyArray<CatalogEvent> = command.validateOnly ? [] : [{ _tag: "StreamCreated", stream }]
  return { events, reply: Exit.succeed(reply), signals: [] }
}

const forget = (deletion: Deletion): Signal<typeof CatalogKind> => ({
  _tag: "Notify",
  notice: { _tag: "ForgetStream", ...deletion }
})

const deleteStream = (state: CatalogState, name: string, nowMs: number): CatalogDecision => {
  const { topicId, logIds } = getOrThrow(state, name)
  return {
    events: [{ _tag: "StreamDeleted", name, topicId, logIds }],
    reply: Exit.succeed({ _tag: "Deleted", topicId }),
    signals: [forget({ name, topicId, logIds }), repeatIn(nowMs)]
  }
}

const confirmDeletion = ({ deletions }: CatalogState, topicId: string): CatalogDecision => {
  const isPending = deletions.some((deletion) => deletion.topicId === topicId)
  const isLast = isPending && deletions.length === 1
  return {
    events: isPending ? [{ _tag: "DeletionConfirmed", topicId }] : [],
    reply: Exit.succeed({ _tag: "Done" }),
    signals: isLast ? [repeatNoMore] : []
  }
}

const repeat = ({ deletions }: CatalogState, { delayMs }: RepeatIntents, nowMs: number): CatalogDecision => ({
  events: [],
  reply: Exit.succeed({ _tag: "Done" }),
  signals: deletions.length === 0 ? [] : [repeatIn(nowMs, delayMs), ...deletions.map(forget)]
})

const throwIfTooManyPartitions = (partitions: number, { partitionsPerStreamMax }: CatalogLimits): void => {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= partitionsPerStreamMax) return
  throw refused("InvalidPartitions", `a stream has 1 to ${partitionsPerStreamMax} partitions`)
}

/**
 * The log ids of partitions that come to those that there are. Keys of records go to other partitions then, so in a bound stream
 * of last values an older one would stay for good, in the partition that its key has left.
 */
const addedLogIds = (
  state: CatalogState,
  stream: Stream,
  partitions: number,
  config: Config,
  limits: CatalogLimits
) => {
  const count = stream.logIds.length
  if (partitions <= count) {
    throw refused("InvalidPartitions", `the stream has ${count} partitions: there can be more, not ${partitions}`)
  }
  throwIfTooManyPartitions(partitions, limits)
  if (isBound(stream) && effectiveConfig(config).isCompacted) {
    throw refused(
      "InvalidPartitions",
      "a compacted stream that MQTT writes keeps its partitions: its keys would move to others"
    )
  }
  return Array.from({ length: partitions - count }, (_, added) => state.nextLogId + added)
}

/** Before it is validated. */
const alteredConfig = (stream: Stream, command: AlterStream, limits: ConfigLimits): Config => {
  const config = new Map(command.isWholeConfig === true ? [] : stream.config)
  const known = streamSettings(limits)
  for (const [name, value] of command.config ?? []) {
    // Throws for an unknown name, also for one that is only deleted.
    settingOf(name, known)
    if (value === null) config.delete(name)
    else config.set(name, value)
  }
  for (const list of command.lists ?? []) config.set(list.name, changedList(config, list, limits))
  return config
}

const alterStream = (state: CatalogState, command: AlterStream, limits: CatalogLimits, room: Room): CatalogDecision => {
  const stream = getOrThrow(state, command.name)
  const filters = command.filters ?? stream.filters
  if (filters.length > 0 !== isBound(stream)) {
    throw refused("InvalidFilter", "a bound stream keeps at least one filter, a free one has none")
  }
  throwIfFiltersInvalid(filters, limits)
  const config = alteredConfig(stream, command, limits)
  validateConfig(config, limits)
  throwIfWithoutKey(filters, stream.key, config)
  const added = command.partitions === undefined ? [] : addedLogIds(state, stream, command.partitions, config, limits)
  const altered: Stream = { ...stream, filters, config, logIds: [...stream.logIds, ...added] }
  throwIfNoMemory(weightOfStream(altered) - weightOfStream(stream), room)
  const event: CatalogEvent = {
    _tag: "StreamAltered",
    name: command.name,
    filters,
    config: [...config],
    ...(added.length === 0 ? {} : { addedLogIds: added })
  }
  return {
    events: command.validateOnly === true ? [] : [event],
    reply: Exit.succeed({ _tag: "Stream", stream: altered }),
    signals: []
  }
}

const allocateProducerIds = (state: CatalogState, count: number): CatalogDecision => {
  const first = state.nextProducerId
  return {
    events: [{ _tag: "ProducerIdsAllocated", first, count }],
    reply: Exit.succeed({ _tag: "ProducerIds", first, count }),
    signals: []
  }
}

const decideOrThrow = (
  state: CatalogState,
  command: CatalogCommand,
  nowMs: number,
  limits: CatalogLimits,
  room: Room
): CatalogDecision => {
  switch (command._tag) {
    case "CreateStream":
      return createStream(state, command, nowMs, limits, room)
    case "DeleteStream":
      return deleteStream(state, command.name, nowMs)
    case "ConfirmDeletion":
      return confirmDeletion(state, command.topicId)
    case "RepeatIntents":
      return repeat(state, command, nowMs)
    case "AlterStream":
      return alterStream(state, command, limits, room)
    case "AllocateProducerIds":
      return allocateProducerIds(state, command.count)
  }
}

const saved = (stream: Stream): SavedStream => ({ ...stream, config: [...stream.config] })
const restored = (stream: SavedStream): Stream => ({ ...stream, config: new Map(stream.config) })

const weightOf = (streams: Iterable<Stream | SavedStream>, deletions: ReadonlyArray<Deletion>): number => {
  let bytes = 0
  for (const stream of streams) bytes += weightOfStream(stream)
  for (const deletion of deletions) bytes += weightOfDeletion(deletion)
  return bytes
}

const nextLogIdAfter = ({ nextLogId }: CatalogState, logIds: ReadonlyArray<number>): number =>
  Math.max(nextLogId, ...logIds.map((id) => id + 1))

const evolve = (state: CatalogState, event: CatalogEvent): CatalogState => {
  switch (event._tag) {
    case "StreamCreated": {
      const streams = new Map(state.streams).set(event.stream.name, restored(event.stream))
      const weightBytes = state.weightBytes + weightOfStream(event.stream)
      return {
        ...state,
        streams,
        weightBytes,
        nextLogId: nextLogIdAfter(state, event.stream.logIds)
      }
    }
    case "StreamAltered": {
      const stream = state.streams.get(event.name)!
      const { filters, addedLogIds: added = [] } = event
      const logIds = [...stream.logIds, ...added]
      const altered = { ...stream, filters, config: new Map(event.config), logIds }
      const weightBytes = state.weightBytes - weightOfStream(stream) + weightOfStream(altered)
      const streams = new Map(state.streams).set(event.name, altered)
      return { ...state, streams, weightBytes, nextLogId: nextLogIdAfter(state, added) }
    }
    case "StreamDeleted": {
      const streams = new Map(state.streams)
      const gone = state.streams.get(event.name)
      streams.delete(event.name)
      const { name, topicId, logIds } = event
      const deletion: Deletion = { name, topicId, logIds }
      const goneBytes = gone === undefined ? 0 : weightOfStream(gone)
      const weightBytes = state.weightBytes - goneBytes + weightOfDeletion(deletion)
      return { ...state, streams, deletions: [...state.deletions, deletion], weightBytes }
    }
    case "DeletionConfirmed": {
      const gone = state.deletions.find(({ topicId }) => topicId === event.topicId)
      if (gone === undefined) return state
      const deletions = state.deletions.filter((deletion) => deletion !== gone)
      return { ...state, deletions, weightBytes: state.weightBytes - weightOfDeletion(gone) }
    }
    case "ProducerIdsAllocated":
      return { ...state, nextProducerId: event.first + event.count }
  }
}

interface Saved extends Omit<CatalogState, "streams" | "deletions" | "weightBytes"> {
  readonly streams: ReadonlyArray<SavedStream>
  /** Left out if there are none. */
  readonly deletions?: ReadonlyArray<Deletion>
}

/** The streams and their settings, `catalog/0`. */
export const makeCatalog = (limits: CatalogLimits): Definition<typeof CatalogKind, CatalogState> => ({
  kind: CatalogKind.name,
  version: 1,
  states: CatalogStates,
  // In version 1 nobody knew whether what hung on a deleted stream was gone.
  stateVersion: 2,
  initial: () => ({ streams: new Map(), deletions: [], weightBytes: 0, nextLogId: firstLogId, nextProducerId: 1 }),
  decide: (state, command, nowMs, room = unbounded) => {
    try {
      return decideOrThrow(state, command, nowMs, limits, room)
    } catch (error) {
      return { events: [], reply: Exit.fail(reasonOf(error)), signals: [] }
    }
  },
  evolve,
  resume: ({ deletions }, nowMs) => (deletions.length === 0 ? [] : [repeatAt(nowMs)]),
  // In an order of its own: that of the state is another one once it was loaded, and its hash would be too.
  save: ({ streams, deletions, nextLogId, nextProducerId }): Saved => ({
    streams: Array.from(streams.values(), saved),
    nextLogId,
    nextProducerId,
    ...(deletions.length > 0 && { deletions })
  }),
  load: (_id, data) => {
    const { streams, deletions = [], ...rest } = data as Saved
    const weightBytes = weightOf(streams, deletions)
    return {
      ...rest,
      deletions,
      weightBytes,
      streams: new Map(streams.map((stream) => [stream.name, restored(stream)]))
    }
  },
  weights: [{ holder: "streams", perActor: 0, bytesOf: ({ weightBytes }) => weightBytes }],
  isEmpty: (state) => state.nextLogId === firstLogId && state.nextProducerId === 1
})

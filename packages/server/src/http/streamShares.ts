import type { StreamShareState } from "@logbrook/actors/streamShare/StreamShare"
import { streamShareActor } from "@logbrook/actors/streamShare/StreamShareProtocol"
import type { StreamReading } from "@logbrook/actors/session/SessionProtocol"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import type { MqttBroker, Session } from "../mqtt/MqttBroker.ts"
import { streamOfFilter } from "../mqtt/streams/StreamRequest.ts"
import { lagOf, type PartitionLag, totalLag } from "../streams/groupLag.ts"
import { isoTime } from "../tools/plain.ts"
import { asked } from "./asked.ts"
import { pageOf, type PageQuery } from "./paging.ts"
import { EndpointRefused } from "./refusals.ts"

// Groups that read a stream, `$share/GROUP/$stream/NAME[/FILTER]`, by their filters.

/** How far the group has read in one partition; its filter may be narrower than what lags. */
interface PartitionRead extends Omit<PartitionLag, "stream"> {
  /** Reading ends before this offset; null: it does not end. */
  readonly end: number | null
  /** Records before the position that no member has. */
  readonly waiting: number
}

interface Share extends StreamShareState {
  readonly reading: StreamReading
}

const shareNamed = ({ streamShares }: MqttBroker, filter: string): Share | undefined => {
  const state = streamShares.get(filter)
  return state === undefined || state.reading === null ? undefined : { ...state, reading: state.reading }
}

/** Behind its end a group has nothing to read. */
const lagBefore = (end: number | null, { offset, logStartOffset, lag }: PartitionLag): number | null =>
  end === null || lag === null ? lag : Math.min(lag, Math.max(0, end - Math.max(offset, logStartOffset ?? 0)))

const lagsOf = (broker: Broker, stream: string, { positions, ends, topicId }: StreamReading) => {
  // A partition that has come since is read from its beginning.
  const partitions = Math.max(positions.length, broker.directory.byTopicId(topicId ?? "")?.logIds.length ?? 0)
  const lags: Array<PartitionLag & Pick<PartitionRead, "end">> = []
  for (let partition = 0; partition < partitions; partition++) {
    const offset = positions[partition] ?? 0
    if (offset < 0) continue
    const end = ends?.[partition] ?? null
    const lag = lagOf(broker, { topicId: topicId ?? "", stream, partition, offset })
    lags.push({ ...lag, end, lag: lagBefore(end, lag) })
  }
  return lags
}

const membersOf = ({ directory }: MqttBroker, filter: string): ReadonlyArray<Session> => [
  ...(directory.subscriptions.group(filter)?.members() ?? [])
]

const summaryOf = (broker: Broker, mqtt: MqttBroker, share: Share) => {
  const { filter, reading, waiting, idleSinceMs } = share
  const { name, topicFilter } = streamOfFilter(filter)
  const members = membersOf(mqtt, filter)
  return {
    filter,
    group: parseSharedFilter(filter)!.shareName,
    stream: name,
    topicFilter: topicFilter ?? null,
    members: members.length,
    connected: members.filter(({ facts }) => facts.isConnected).length,
    emptySince: idleSinceMs === null ? null : isoTime(idleSinceMs),
    waiting: waiting.size,
    ...totalLag(lagsOf(broker, name, reading))
  }
}

const partitionsOf = (broker: Broker, { filter, reading, waiting }: Share): ReadonlyArray<PartitionRead> => {
  const waitingIn = new Map<number, number>()
  for (const { partition } of waiting) waitingIn.set(partition, (waitingIn.get(partition) ?? 0) + 1)
  return lagsOf(broker, streamOfFilter(filter).name, reading).map(({ stream: _, ...lag }) => ({
    ...lag,
    waiting: waitingIn.get(lag.partition) ?? 0
  }))
}

const memberOf = ({ clientId, facts, connection, subscriptions }: Session, filter: string) => ({
  clientId,
  state: facts.isConnected ? ("connected" as const) : ("disconnected" as const),
  address: connection?.info.remoteAddress ?? null,
  qos: subscriptions.get(filter)?.qos ?? 0,
  queued: facts.queued,
  unacknowledged: facts.unacknowledged
})

export const listStreamShares = (broker: Broker, mqtt: MqttBroker, query: PageQuery) =>
  pageOf(mqtt.streamShares.filters(), query, (filter) => {
    const share = shareNamed(mqtt, filter)
    return share && summaryOf(broker, mqtt, share)
  })

const found = (mqtt: MqttBroker, filter: string): Effect.Effect<Share, EndpointRefused> =>
  Effect.suspend(() => {
    const share = shareNamed(mqtt, filter)
    if (share !== undefined) return Effect.succeed(share)
    return new EndpointRefused({ code: "UNKNOWN_GROUP", message: `no group reads a stream by "${filter}"` })
  })

export const getStreamShare = (broker: Broker, mqtt: MqttBroker, filter: string) =>
  Effect.map(found(mqtt, filter), (share) => {
    const { untilMs } = share.reading
    return {
      ...summaryOf(broker, mqtt, share),
      untilAt: untilMs === null ? null : isoTime(untilMs),
      memberDetails: membersOf(mqtt, filter).map((member) => memberOf(member, filter)),
      partitions: partitionsOf(broker, share)
    }
  })

/** Forgets the position of a group without members, with the records that wait. */
export const deleteStreamShare = (broker: Broker, mqtt: MqttBroker, filter: string) =>
  Effect.gen(function* () {
    const { idleSinceMs, waiting } = yield* found(mqtt, filter)
    const hasMembers = new EndpointRefused({
      code: "GROUP_HAS_MEMBERS",
      message: "the group has members: try again once they have unsubscribed, or their sessions have ended"
    })
    if (idleSinceMs === null) return yield* hasMembers
    const command = { _tag: "Expire", sinceMs: idleSinceMs } as const
    const what = "http DELETE /stream-shares"
    const expired = asked(broker, streamShareActor(filter), command, what, "the group cannot answer: try again")
    // `Expire` is never refused.
    yield* Effect.catchTag(expired, "StreamShareRefused", Effect.die)
    // A member has come before the command.
    if (shareNamed(mqtt, filter) !== undefined) return yield* hasMembers
    return { waiting: waiting.size }
  })

import type { CodecLimits } from "@logbrook/protocols/mqtt/Packet"
import type { DecodeContext } from "@logbrook/protocols/mqtt/decodePublish"
import { parseSharedFilter, TopicCache } from "@logbrook/protocols/mqtt/TopicNames"
import { isStreamFilter } from "./streams/StreamRequest.ts"

// A listener's mount point is a prefix of topics, such as `tenants/a/`, below which its clients are: what they name is there,
// and what they are sent has lost it again. Topics that begin with $ are outside of it, and not theirs. `""` is no mount point:
// then all of this does nothing.

/** Packets of the clients below a mount point, whose topic names have it already when they are decoded. */
export interface Mount {
  readonly mountPoint: string
  readonly decoding: DecodeContext
}

/** The limits are those of topics with their mount point. */
export const mountAt = (mountPoint: string, limits: CodecLimits): Mount => {
  const own: CodecLimits = {
    ...limits,
    topicBytesMax: limits.topicBytesMax - Buffer.byteLength(mountPoint),
    topicLevelsMax: limits.topicLevelsMax - (mountPoint.split("/").length - 1)
  }
  return { mountPoint, decoding: { limits: own, topics: new TopicCache(undefined, own, mountPoint) } }
}

const dollar = 0x24

/** Whether a topic, or a filter without its share, is none that clients below the mount point may name. */
export const isOutside = (mountPoint: string, topic: string): boolean =>
  mountPoint !== "" && topic.charCodeAt(0) === dollar

/** Why such a topic or filter is refused, for clients and the log. */
export const outsideText = "topics that begin with $ are outside of the listener's mount point"

/** A topic of a will or a response, as the server knows it. */
export const mountedTopic = (mountPoint: string, topic: string): string =>
  isOutside(mountPoint, topic) ? topic : mountPoint + topic

/**
 * A filter below the mount point, whatever it begins with. `#` becomes `+/#` there, which matches the same topics: `tenants/a/#` would
 * match `tenants/a` too, which is above it (MQTT 5, 4.7.1.2).
 */
const filterBelow = (mountPoint: string, filter: string): string => mountPoint + (filter === "#" ? "+/#" : filter)

/**
 * `$stream/NAME/FILTER`, of which only what is below the mount point is read. Where the name or the filter is empty it stays as it is,
 * to be refused.
 */
const mountedStream = (mountPoint: string, filter: string): string => {
  const [prefix, name, ...levels] = filter.split("/")
  const own = levels.length === 0 ? "#" : levels.join("/")
  return name && own ? `${prefix!}/${name}/${filterBelow(mountPoint, own)}` : filter
}

const mountedUnshared = (mountPoint: string, filter: string): string => {
  if (isStreamFilter(filter)) return mountedStream(mountPoint, filter)
  return isOutside(mountPoint, filter) ? filter : filterBelow(mountPoint, filter)
}

/** A filter as the server knows it: the mount point comes behind `$share/NAME/`, and behind `$stream/NAME/`. */
export const mountedFilter = (mountPoint: string, filter: string): string => {
  if (mountPoint === "") return filter
  const shared = parseSharedFilter(filter)
  if (shared !== undefined) return `$share/${shared.shareName}/${mountedUnshared(mountPoint, shared.filter)}`
  return mountedUnshared(mountPoint, filter)
}

/**
 * A topic as the clients below the mount point know it: `$stream/NAME/TOPIC` too. Undefined: it is none that they could name, since it
 * is not below it, or what is left of it is empty or begins with $.
 */
export const unmountedTopic = (mountPoint: string, topic: string): string | undefined => {
  if (topic.startsWith(mountPoint)) {
    const own = topic.slice(mountPoint.length)
    return own === "" || isOutside(mountPoint, own) ? undefined : own
  }
  if (!isStreamFilter(topic)) return undefined
  const end = topic.indexOf("/", "$stream/".length)
  if (end === -1) return topic
  const own = unmountedTopic(mountPoint, topic.slice(end + 1))
  return own === undefined ? undefined : topic.slice(0, end + 1) + own
}

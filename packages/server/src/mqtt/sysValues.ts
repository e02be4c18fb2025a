/** The figures of which the topics under $SYS are made, at one moment. Everything that grows counts from the server's start. */
export interface SysCounts {
  readonly version: string
  readonly uptimeMs: number
  readonly sockets: number
  /** CONNECT packets that led to a session. */
  readonly connects: number
  readonly clientsConnected: number
  /** The most that were connected at once. */
  readonly clientsMaximum: number
  /** Sessions, connected or not. */
  readonly clientsTotal: number
  /** Sessions that ended because their client did not come back in time. */
  readonly clientsExpired: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
  readonly retained: number
  /** MQTT packets of any type. */
  readonly packetsReceived: number
  readonly packetsSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  /** PUBLISH packets, and messages that did not get to somebody whom they were for. */
  readonly messagesReceived: number
  readonly messagesSent: number
  readonly messagesDropped: number
  readonly streams: number
  /** Records that readers can reach, and their bytes. */
  readonly records: number
  readonly recordBytes: number
}

const root = "$SYS/broker/"
const secondMs = 1000
const minuteMs = 60 * secondMs

type ValueOf = (counts: SysCounts) => number | string

/** Under Mosquitto's names, where Mosquitto has them, and in its formats, for dashboards that are made for it. */
const plain: ReadonlyArray<readonly [topic: string, valueOf: ValueOf]> = [
  ["version", ({ version }) => `logbrook version ${version}`],
  ["uptime", ({ uptimeMs }) => `${Math.floor(uptimeMs / secondMs)} seconds`],
  ["clients/total", ({ clientsTotal }) => clientsTotal],
  ["clients/connected", ({ clientsConnected }) => clientsConnected],
  ["clients/disconnected", ({ clientsTotal, clientsConnected }) => Math.max(0, clientsTotal - clientsConnected)],
  ["clients/maximum", ({ clientsMaximum }) => clientsMaximum],
  ["clients/expired", ({ clientsExpired }) => clientsExpired],
  ["messages/received", ({ packetsReceived }) => packetsReceived],
  ["messages/sent", ({ packetsSent }) => packetsSent],
  ["publish/messages/received", ({ messagesReceived }) => messagesReceived],
  ["publish/messages/sent", ({ messagesSent }) => messagesSent],
  ["publish/messages/dropped", ({ messagesDropped }) => messagesDropped],
  ["bytes/received", ({ bytesReceived }) => bytesReceived],
  ["bytes/sent", ({ bytesSent }) => bytesSent],
  ["retained messages/count", ({ retained }) => retained],
  ["subscriptions/count", ({ subscriptions }) => subscriptions],
  ["shared_subscriptions/count", ({ sharedSubscriptions }) => sharedSubscriptions],
  ["streams/count", ({ streams }) => streams],
  ["streams/records", ({ records }) => records],
  ["streams/bytes", ({ recordBytes }) => recordBytes]
]

/** Counts whose rates are told, per minute. */
const rated: ReadonlyArray<readonly [topic: string, countOf: (counts: SysCounts) => number]> = [
  ["load/sockets", ({ sockets }) => sockets],
  ["load/connections", ({ connects }) => connects],
  ["load/messages/received", ({ packetsReceived }) => packetsReceived],
  ["load/messages/sent", ({ packetsSent }) => packetsSent],
  ["load/publish/received", ({ messagesReceived }) => messagesReceived],
  ["load/publish/sent", ({ messagesSent }) => messagesSent],
  ["load/publish/dropped", ({ messagesDropped }) => messagesDropped],
  ["load/bytes/received", ({ bytesReceived }) => bytesReceived],
  ["load/bytes/sent", ({ bytesSent }) => bytesSent]
]

const windows: ReadonlyArray<readonly [name: string, windowMs: number]> = [
  ["1min", minuteMs],
  ["5min", 5 * minuteMs],
  ["15min", 15 * minuteMs]
]

/** All topics, in the order of `SysValues.read`. */
export const sysTopics: ReadonlyArray<string> = [
  ...plain.map(([topic]) => root + topic),
  ...rated.flatMap(([topic]) => windows.map(([name]) => `${root}${topic}/${name}`))
]

/** A count's rate per minute, averaged over the windows as Unix averages its load. */
interface Load {
  count: number
  readonly averages: Array<number>
}

/**
 * The values of the topics. It may be read at any intervals: an average weighs each rate by the time for which it held, so
 * a long one counts as its mean.
 */
export class SysValues {
  readonly #loads: ReadonlyArray<Load> = rated.map(() => ({ count: 0, averages: windows.map(() => 0) }))
  #uptimeMs = 0

  /** The values at this moment, one for each of `sysTopics`. */
  read(counts: SysCounts): ReadonlyArray<string> {
    const elapsedMs = counts.uptimeMs - this.#uptimeMs
    if (elapsedMs > 0) {
      for (const [at, [, countOf]] of rated.entries()) move(this.#loads[at]!, countOf(counts), elapsedMs)
      this.#uptimeMs = counts.uptimeMs
    }
    return [
      ...plain.map(([, valueOf]) => String(valueOf(counts))),
      ...this.#loads.flatMap(({ averages }) => averages.map((average) => average.toFixed(2)))
    ]
  }
}

const move = (load: Load, count: number, elapsedMs: number): void => {
  const perMinute = ((count - load.count) * minuteMs) / elapsedMs
  load.count = count
  for (const [at, [, windowMs]] of windows.entries()) {
    const before = load.averages[at]!
    load.averages[at] = perMinute + Math.exp(-elapsedMs / windowMs) * (before - perMinute)
  }
}

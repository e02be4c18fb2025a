import {
  sessionActor,
  SessionKind,
  type Connect,
  type ConnectionEnd,
  type ConnectionId,
  type Disconnect,
  type Kick,
  type SessionCommand,
  type SessionNotice
} from "@logbrook/actors/session/SessionProtocol"
import type { CodecLimits } from "@logbrook/protocols/mqtt/Packet"
import type { Broker } from "../Broker.ts"
import { streamTotals } from "../streams/streamTotals.ts"
import { version } from "../version.ts"
import { originOf } from "../originOf.ts"
import { BoundedLines } from "../net/BoundedLines.ts"
import { Refusals } from "../net/Refusals.ts"
import { AckSlab } from "./AckSlab.ts"
import type { AuthenticationMethod } from "./authentication/AuthenticationMethod.ts"
import type { Reply } from "./Client.ts"
import { type Mount, mountAt } from "./MountPoint.ts"
import type { MqttContext, Receiver } from "./MqttContext.ts"
import { dropReasons, makeMqttMetrics, type MqttMetrics } from "./mqttMetrics.ts"
import type { MqttOptions } from "./MqttOptions.ts"
import type { Outgoing } from "./Outgoing.ts"
import { QueueDrops } from "./QueueDrops.ts"
import { RetainedStore } from "./RetainedStore.ts"
import { SessionDirectory, type SessionView } from "./SessionDirectory.ts"
import { SessionLog } from "./SessionLog.ts"
import { SharedDelivery } from "./SharedDelivery.ts"
import { StreamShares } from "./streams/StreamShares.ts"
import { SysTopics } from "./SysTopics.ts"
import type { SysCounts } from "./sysValues.ts"
import { TopTopics } from "./TopTopics.ts"
import { TurnShare } from "../TurnShare.ts"
import { Wills } from "./Wills.ts"

/** A session as operators see it. */
export interface SessionInfo {
  readonly clientId: string
  readonly isDurable: boolean
  readonly subscriptions: ReadonlyArray<string>
  /** undefined: not connected. */
  readonly connection: ConnectionInfo | undefined
}

export interface ConnectionInfo {
  readonly id: ConnectionId
  /** Empty before CONNECT. */
  readonly clientId: string
  readonly remoteAddress: string
  readonly protocolVersion: 3 | 4 | 5
  readonly keepAliveMs: number
  /** Unix ms. */
  readonly openedMs: number
}

/** A connection as the broker knows it. */
export interface BrokerConnection extends Receiver {
  readonly id: ConnectionId
  /** Empty before CONNECT. */
  readonly clientId: string
  readonly session: Session | undefined
  readonly outgoing: Outgoing
  readonly info: ConnectionInfo
  /** Looks at the deadlines, now and then; `nowMs` by the monotonic clock. */
  readonly sweep: (nowMs: number) => void
  /** DISCONNECT where the version has it, then the end; the will is published. */
  readonly close: (end: ConnectionEnd) => void
  /** As `close`, for a connection whose session is another's already. */
  readonly takenOver: () => void
  /** Tells the session's actor what the client has taken, ahead of the command that ends the connection. */
  readonly tellTaken: () => void
  /** As `close`, for a connection whose session is told by the operator's own command. */
  readonly kicked: () => void
}

export type Session = SessionView<BrokerConnection>

const sweepEveryMs = 250
const endLinesPerSecondMax = 20
const faultLinesPerSecondMax = 20
const refusedFilterLinesPerSecondMax = 20
const sharedLossLinesPerSecondMax = 5
/**
 * Some 1 ms of CPU until they are journaled, spread over the turns of the event loop that follow. While a hundred clients subscribed at
 * the same moment, p99 of another was 96 to 111 ms with 256, 79 to 84 with 128, and 38 to 62 with 64 (`npm run abuse`).
 */
const filtersPerTurn = 64
/** Records of streams that readers look at in a turn: some 2 ms of CPU. */
const streamLooksPerTurn = 512
const sum = (counters: MqttMetrics["received"]): number => counters.reduce((total, { value }) => total + value, 0)
/** That nobody wanted a message is not what anybody calls dropped. */
const lossReasons = dropReasons.filter((reason) => reason !== "no_match")
/** The longest that the journal may take with what leaving means when the server stops. */
const stopGraceMs = 1000

/** The state that all MQTT connections share. */
export class MqttBroker implements MqttContext {
  readonly broker: Broker
  readonly options: MqttOptions
  readonly authenticationMethods: ReadonlyArray<AuthenticationMethod>
  /** The mount of listeners that have no mount point. */
  readonly noMount: Mount
  readonly #codecLimits: CodecLimits
  readonly directory: SessionDirectory<BrokerConnection>
  readonly retained: RetainedStore
  readonly sessionLog: SessionLog
  readonly metrics: MqttMetrics
  readonly refusals: Refusals
  readonly unmatched = new TopTopics()
  readonly acks = new AckSlab()
  /** The share of each turn of the event loop for filters of SUBSCRIBE and UNSUBSCRIBE. */
  readonly filters: TurnShare
  readonly streamLooks: TurnShare
  readonly refusedFilters: BoundedLines
  /** The log lines about ends of connections. */
  readonly ends: BoundedLines
  /** Those about connections that are refused, or ended for what their clients have sent. */
  readonly faults: BoundedLines
  readonly #sharedLosses: BoundedLines
  readonly shared = new SharedDelivery(this)
  readonly streamShares: StreamShares
  isStopping = false
  readonly #wills = new Wills(this)
  readonly #drops: QueueDrops
  readonly #system: SysTopics
  readonly #startedMs: number
  readonly #connections = new Set<BrokerConnection>()
  /** Those that have sent CONNECT, by client id. */
  readonly #serving = new Map<string, BrokerConnection>()
  readonly #byId = new Map<ConnectionId, BrokerConnection>()
  #touched: Array<BrokerConnection> = []
  #connectionsSoFar = 0
  #connectsSoFar = 0
  /** The most that were served at once. */
  #servingMax = 0
  /** Client ids of the CONNECTs that are on their way to the journal, and how many of each. */
  readonly #opening = new Map<string, number>()
  /** Sessions whose connection has gone and whose actor has not said so yet. */
  #leaving = 0
  #whenLeft: Array<() => void> = []
  #listeners = 0
  #stopSweep: (() => void) | undefined

  constructor(broker: Broker, options: MqttOptions, authenticationMethods: ReadonlyArray<AuthenticationMethod>) {
    const { limits } = broker
    const codecLimits: CodecLimits = {
      clientIdBytesMax: limits.clientIdBytesMax,
      topicBytesMax: limits.topicBytesMax,
      topicLevelsMax: limits.topicLevelsMax,
      userPropertiesMax: limits.userPropertiesMax,
      userPropertyBytesMax: limits.userPropertiesBytesMax,
      subscriptionsPerPacketMax: limits.subscriptionsPerPacketMax
    }
    this.broker = broker
    this.options = options
    this.authenticationMethods = authenticationMethods
    this.#startedMs = broker.clock.monotonicMs()
    this.filters = new TurnShare(broker.clock, filtersPerTurn)
    this.streamLooks = new TurnShare(broker.clock, streamLooksPerTurn)
    this.refusedFilters = new BoundedLines(
      broker.log,
      broker.clock,
      "info",
      refusedFilterLinesPerSecondMax,
      "mqtt: more subscriptions were refused than were logged"
    )
    this.ends = new BoundedLines(
      broker.log,
      broker.clock,
      "info",
      endLinesPerSecondMax,
      "mqtt: more connections ended than were logged"
    )
    this.faults = new BoundedLines(
      broker.log,
      broker.clock,
      "warn",
      faultLinesPerSecondMax,
      "mqtt: more connections were refused, or ended for a fault, than were logged"
    )
    this.#sharedLosses = new BoundedLines(
      broker.log,
      broker.clock,
      "warn",
      sharedLossLinesPerSecondMax,
      "mqtt: more members of shared subscriptions went with messages than were logged"
    )
    this.#codecLimits = codecLimits
    this.noMount = mountAt("", codecLimits)
    this.refusals = new Refusals(broker, "mqtt")
    this.directory = SessionDirectory.follow(broker.shards, limits)
    this.streamShares = new StreamShares(this)
    this.directory.onGroupEmptied = (filter) => this.streamShares.emptied(filter)
    this.#drops = new QueueDrops(broker.clock, (clientId, command) =>
      this.offerToSession(clientId, command, originOf("mqtt", clientId, " queue"), () => undefined)
    )
    this.#system = new SysTopics(this, options.sysIntervalS, () => this.#counts())
    this.retained = RetainedStore.follow(broker.shards, limits, this.#system)
    this.sessionLog = new SessionLog(broker.shards)
    this.metrics = makeMqttMetrics(broker.metrics, () => ({
      connections: this.#connections.size,
      sessions: this.directory.size,
      subscriptions: this.directory.subscriptions.size,
      retained: this.retained.index.size,
      retainedBytes: this.retained.index.bytes,
      streamShares: this.streamShares.counts
    }))
  }

  /** For a listener. */
  mountOf(mountPoint: string): Mount {
    return mountPoint === "" ? this.noMount : mountAt(mountPoint, this.#codecLimits)
  }

  // --- Connections ---

  /** Never used before, restarts included. */
  nextConnectionId(): ConnectionId {
    return `${this.broker.shards.epoch}.${++this.#connectionsSoFar}`
  }

  opened(connection: BrokerConnection): void {
    this.#connections.add(connection)
  }

  /** The client's connection from now on; the one before, whose id is returned, is closed [MQTT-3.1.4-3]. */
  serve(connection: BrokerConnection): ConnectionId | undefined {
    const before = this.#serving.get(connection.clientId)
    before?.takenOver()
    this.#serving.set(connection.clientId, connection)
    this.#byId.set(connection.id, connection)
    this.#connectsSoFar++
    this.#servingMax = Math.max(this.#servingMax, this.#serving.size)
    return before?.id
  }

  unserve(connection: BrokerConnection): void {
    this.#byId.delete(connection.id)
    if (this.#serving.get(connection.clientId) === connection) this.#serving.delete(connection.clientId)
    if (connection.session?.connection === connection) connection.session.connection = undefined
  }

  closed(connection: BrokerConnection): void {
    this.unserve(connection)
    this.#connections.delete(connection)
  }

  /** Whether there may be a session for this client. Counted too: those that are not durable yet, and wills that wait. */
  hasRoomFor(clientId: string): boolean {
    const { directory, broker } = this
    const { sessionsMax } = broker.limits
    const held = directory.size + directory.pendingWills
    if (held + this.#opening.size < sessionsMax) return true
    // A session that is there may end before its CONNECT is decided: then that one makes it anew.
    let sessions = held
    for (const opening of this.#opening.keys()) if (directory.get(opening) === undefined) sessions++
    return sessions < sessionsMax || directory.get(clientId) !== undefined || this.#opening.has(clientId)
  }

  /** CONNECT goes to the session's actor. */
  opens(clientId: string, command: Connect, origin: string, reply: Reply<Connect>): void {
    this.#opening.set(clientId, (this.#opening.get(clientId) ?? 0) + 1)
    this.offerToSession(clientId, command, origin, (exit) => {
      const left = this.#opening.get(clientId)! - 1
      if (left === 0) this.#opening.delete(clientId)
      else this.#opening.set(clientId, left)
      reply(exit)
    })
  }

  /** A connection is about to leave: `stops` waits until it calls what is returned. */
  leaves(): () => void {
    this.#leaving++
    return () => this.#hasLeft()
  }

  /** DISCONNECT goes to the session's actor; `stops` waits for it. */
  left(clientId: string, command: Disconnect, origin: string): void {
    this.#leaving++
    this.offerToSession(clientId, command, origin, () => this.#hasLeft())
  }

  #hasLeft(): void {
    this.#leaving--
    if (this.#leaving === 0) for (const resolve of this.#whenLeft.splice(0)) resolve()
  }

  offerToSession<const C extends SessionCommand>(clientId: string, command: C, origin: string, reply: Reply<C>): void {
    this.broker.shards.unsafeAsk(sessionActor(clientId), command, { origin }, reply)
  }

  // --- Out ---

  /** Written at the end of the current turn of the event loop, so that what comes together goes together. */
  flushSoon(connection: BrokerConnection): void {
    if (this.#touched.push(connection) === 1) queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    const touched = this.#touched
    this.#touched = []
    for (const connection of touched) connection.flush()
  }

  // --- Notices of the session actors ---

  onNotice(known: SessionNotice): void {
    switch (known._tag) {
      case "Deliver": {
        const connection = this.#byId.get(known.connectionId)
        if (connection?.isOpen === true) connection.guarded(() => connection.outgoing.enqueue(known.entries))
        return
      }
      case "CloseConnection": {
        const connection = this.#byId.get(known.connectionId)
        if (known.reason === "SessionTakenOver") connection?.takenOver()
        else if (known.reason === "AdministrativeAction") connection?.kicked()
        else connection?.close({ by: "restart" })
        return
      }
      case "PublishWill":
        this.#wills.publish(known)
        return
      case "QueueFull":
        this.metrics.dropped("queue_full", known.messages.length)
        this.#drops.note(known)
        return
      case "HandOn":
        this.shared.handOn(known)
        return
      case "SharedLost":
        this.sharedLost(known.clientId, known.count)
    }
  }

  sharedLost(clientId: string, count: number): void {
    this.metrics.dropped("shared_member_gone", count)
    this.#sharedLosses.write("mqtt: messages of a shared subscription went with one of its members", {
      client: clientId,
      count
    })
  }

  // --- For operators ---

  /**
   * Closes the client's connection as an operator, whom `origin` names; `endSession` forgets its session as well. False: no such
   * session, and no reply.
   */
  kick(clientId: string, origin: string, endSession = false, reply: Reply<Kick> = () => undefined): boolean {
    if (this.directory.get(clientId) === undefined) return false
    const connection = this.#serving.get(clientId)
    connection?.tellTaken()
    this.offerToSession(clientId, { _tag: "Kick", endSession }, origin, reply)
    // At once: of what comes behind the command the session remembers nothing, so a QoS 2 message would be stored twice.
    connection?.kicked()
    return true
  }

  *sessions(): IterableIterator<SessionInfo> {
    for (const { clientId, isDurable, subscriptions, connection } of this.directory.all()) {
      yield { clientId, isDurable, subscriptions: [...subscriptions.filters()], connection: connection?.info }
    }
  }

  *connections(): IterableIterator<ConnectionInfo> {
    for (const connection of this.#connections) yield connection.info
  }

  /** For the topics under $SYS. */
  #counts(): SysCounts {
    const { broker, directory, metrics } = this
    const { streams, records, bytes } = streamTotals(broker)
    return {
      version,
      uptimeMs: broker.clock.monotonicMs() - this.#startedMs,
      sockets: this.#connectionsSoFar,
      connects: this.#connectsSoFar,
      clientsConnected: this.#serving.size,
      clientsMaximum: this.#servingMax,
      clientsTotal: directory.size,
      clientsExpired: directory.expired,
      subscriptions: directory.subscriptions.size,
      sharedSubscriptions: directory.subscriptions.sharedSize,
      retained: this.retained.index.size,
      packetsReceived: metrics.receivedPackets.value,
      packetsSent: metrics.sentPackets.value,
      bytesReceived: metrics.receivedBytes.value,
      bytesSent: metrics.sentBytes.value,
      messagesReceived: sum(metrics.received),
      messagesSent: sum(metrics.sent),
      messagesDropped: lossReasons.reduce((total, reason) => total + metrics.droppedFor(reason), 0),
      streams,
      records,
      recordBytes: bytes
    }
  }

  // --- Listeners ---

  /** Watches deadlines, and tells of itself under $SYS, as long as anything listens. */
  listens(): void {
    if (++this.#listeners > 1) return
    this.#sweep()
    this.#system.start()
  }

  #sweep(): void {
    this.#stopSweep = this.broker.clock.after(sweepEveryMs, () => {
      const nowMs = this.broker.clock.monotonicMs()
      for (const connection of this.#connections) connection.sweep(nowMs)
      this.#sweep()
    })
  }

  /** A listener ends: its clients are told, and what their leaving means is durable when this resolves. */
  async stops(connections: Iterable<BrokerConnection>): Promise<void> {
    this.isStopping = true
    for (const connection of connections) {
      connection.close({ by: "server stop" })
    }
    if (this.#leaving > 0 && !this.broker.shards.isPoisoned) {
      await new Promise<void>((resolve) => {
        // A journal that fails meanwhile answers nobody.
        const cancel = this.broker.clock.after(stopGraceMs, resolve)
        this.#whenLeft.push(() => {
          cancel()
          resolve()
        })
      })
    }
    // The count includes what the last answers have refused.
    this.#drops.flush()
    this.refusals.flush()
    this.refusedFilters.flush()
    this.ends.flush()
    this.faults.flush()
    this.#sharedLosses.flush()
    if (--this.#listeners > 0) return
    this.#stopSweep?.()
    this.#system.stop()
  }
}

/** For a shard that has recovered. */
export const makeMqttBroker = (
  broker: Broker,
  options: MqttOptions,
  authenticationMethods: ReadonlyArray<AuthenticationMethod> = []
): MqttBroker => {
  const mqtt = new MqttBroker(broker, options, authenticationMethods)
  broker.shards.onNotice(SessionKind, (notice) => mqtt.onNotice(notice))
  mqtt.streamShares.leaveEmptied()
  return mqtt
}

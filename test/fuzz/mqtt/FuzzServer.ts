import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { catalogActor, type CatalogCommand } from "@logbrook/actors/catalog/CatalogProtocol"
import { SessionKind } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import { kindOf } from "@logbrook/core/actor/Definition"
import type { Clock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"
import type { Broker } from "@logbrook/server/Broker"
import { Broker as BrokerService, layer, Mqtt } from "@logbrook/server/composition"
import type { Fields, Log } from "@logbrook/server/Log"
import type { MqttBroker } from "@logbrook/server/mqtt/MqttBroker"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import type { Transport } from "@logbrook/server/mqtt/Transport"
import { TestClock } from "../../../packages/core/test/support/TestClock.ts"
import { layerTest } from "../../../packages/server/test/support/parts.ts"
import { Fibers } from "../../simulation/Fibers.ts"
import type { Random } from "../../simulation/Random.ts"
import { filtersOfStream, streamName } from "./grammar.ts"
import type { Turns } from "./Turns.ts"

/** Small enough that conversations come to them. */
const limits: Limits = {
  ...defaultLimits,
  newConnectionsPerSecondMax: 1_000_000,
  commitPacingMs: 0,
  preAuthFrameBytesMax: 1000,
  mqttPacketBytesMax: 2000,
  receiveMaximum: 3,
  inflightPerSessionMax: 3,
  topicAliasesMax: 2,
  userPropertiesMax: 4,
  subscriptionsPerPacketMax: 4,
  subscriptionsPerSessionMax: 8,
  offlineQueueMessagesMax: 10,
  sessionsMax: 40
}

const partitions = 2
/** Filters of others, which use up what is done for filters in a turn. */
const filtersOfOthers = 10_000
/** Tells what was on its way to a client, which chance decides. */
const ofDeliveries = /of (a shared subscription|shared subscriptions) went with/
const silent = (): void => undefined

/** A client's side of a connection: it reads everything, and closes when it is told to. */
class Peer implements Transport {
  readonly remoteAddress = "10.0.0.1"
  readonly unsentBytes = 0
  readonly #received: Array<Uint8Array> = []
  isPaused = false
  hasEnded = false

  get received(): Buffer {
    return Buffer.concat(this.#received)
  }

  write(buffers: ReadonlyArray<Uint8Array>): void {
    // The bytes themselves: they must not change any more.
    this.#received.push(...buffers)
  }

  end(): void {
    this.hasEnded = true
  }

  destroy(): void {
    this.hasEnded = true
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }
}

/** A connection, from both sides. */
export interface Open {
  readonly peer: Peer
  readonly connection: MqttConnection
}

/** A server without sockets, over a journal in memory and a clock that stands: what it does follows from the bytes alone. */
export class FuzzServer {
  readonly #turns: Turns
  readonly #clock = new TestClock()
  readonly #broker: Broker
  readonly #shard: Shard
  readonly #mqtt: MqttBroker
  /** What must never be: defects, errors in the log, connections that hang. */
  readonly faults: Array<string> = []
  /** What was logged as a warning since `takeRefusals`. */
  #refusals: Array<string> = []
  /** So many messages were above their clients' Maximum Packet Size when `takeTooLarge` was called last. */
  #tooLarge = 0
  /** A connection that stays until the conversation behind it is over. */
  #staying: Open | undefined
  /** Filters of shared subscriptions and how many have them, when they were last asked for. */
  #shared: ReadonlyMap<string, number> = new Map()

  constructor(turns: Turns) {
    this.#turns = turns
    const clock: Clock = {
      nowMs: this.#clock.nowMs,
      monotonicMs: this.#clock.monotonicMs,
      after: (delayMs, task) => this.#clock.after(delayMs, turns.whole(task)),
      nextTurn: (task) => this.#clock.nextTurn(turns.whole(task))
    }
    const fault = (what: string, cause?: unknown): void => {
      this.faults.push(cause instanceof Error ? `${what}: ${cause.stack}` : `${what}: ${String(cause)}`)
    }
    const log: Log = {
      debug: silent,
      info: silent,
      warn: (message, fields) => this.#warned(message, fields),
      error: (message, fields) => fault(message, JSON.stringify(fields))
    }
    const faults = {
      died: (why: string) => fault("the server died", why),
      defect: (where: string, defect?: unknown) => fault(`a defect at ${where}`, defect),
      shardRestarts: (defect: unknown) => fault("the shard restarts", defect),
      actorRestarted: () => fault("an actor restarts")
    }
    const parts = layerTest({ journal: new MemoryJournal(clock), clock, limits, log, faults })
    const scope = Effect.runSync(Scope.make())
    const context = new Fibers().runNow(Layer.buildWithScope(layer.pipe(Layer.provide(parts)), scope))
    turns.drain()
    this.#broker = Context.get(context, BrokerService)
    this.#shard = this.#broker.shards.all[0]!
    this.#mqtt = Context.get(context, Mqtt)
    // However many there are in a second, which the log bounds.
    this.#mqtt.faults.write = (message, fields) => this.#warned(message, fields)
    this.#bind()
    this.#clock.runTurns()
  }

  #bind(): void {
    const command: CatalogCommand = {
      _tag: "CreateStream",
      name: streamName,
      topicId: Buffer.alloc(16, 1).toString("base64url"),
      filters: [...filtersOfStream],
      partitions,
      key: "topic",
      config: [],
      validateOnly: false
    }
    this.#shard.offer({ to: catalogActor, command, cause: { origin: "fuzz" } })
  }

  #warned(message: string, { client, address: _address, ...fields }: Fields = {}): void {
    if (ofDeliveries.test(message)) return
    this.#refusals.push(`${message} ${String(client)} ${JSON.stringify(fields)}`)
  }

  // --- A conversation ---

  /** What the server sends for these bytes, cut into pieces and with turns between them as it comes. */
  connect(): Open {
    const admission = this.#broker.gate.admit("10.0.0.1")!
    const peer = new Peer()
    return { peer, connection: new MqttConnection(this.#mqtt, peer, admission) }
  }

  /** The chunk is the transport's own again when the call returns. */
  say({ peer, connection }: Open, chunk: Uint8Array): void {
    while (peer.isPaused) {
      if (this.#clock.runTurn()) continue
      this.faults.push("it hangs: nothing is read any more, and nothing happens")
      peer.isPaused = false
    }
    connection.onChunk(chunk)
    chunk.fill(0xdb)
    this.#turns.drain()
  }

  /** Now and then others are served between two chunks. */
  pass(random: Random, turnsMax: number): void {
    if (random.chance(0.1)) this.#mqtt.filters.use(filtersOfOthers)
    for (let turns = random.between(0, turnsMax); turns > 0; turns--) this.#clock.runTurn()
  }

  /** Until nothing happens any more while the time stands. */
  rest(): void {
    this.#clock.runTurns()
  }

  /** The client closes its side: the server must close the other one, without being waited for. */
  close({ peer, connection }: Open): void {
    connection.ended()
    this.#turns.drain()
    this.rest()
    if (!peer.hasEnded)
      this.faults.push("it hangs: the client has closed its side, and the server does not close its own")
    this.#closed(connection)
  }

  #closed(connection: MqttConnection): void {
    connection.onClosed()
    this.#turns.drain()
    this.rest()
  }

  /** The connection breaks when the client has its answers. */
  break({ connection }: Open): void {
    this.rest()
    connection.failed("ECONNRESET")
    this.#closed(connection)
  }

  stay(open: Open): void {
    this.rest()
    this.#staying = open
  }

  /** The connection that has stayed, if there is one. */
  takeStaying(): Open | undefined {
    const open = this.#staying
    this.#staying = undefined
    return open
  }

  passTime(ms: number): void {
    if (ms > 0) this.#clock.advance(ms)
  }

  /** The next CONNECT may end another connection or a session, and what they leave, wills and shared messages, is delivered. */
  get hasLeavings(): boolean {
    const isWaiting = this.#mqtt.directory.pendingWills > 0 || this.#shard.memory.bytes("queues") > 0
    return this.#staying !== undefined || isWaiting
  }

  /**
   * Topic filters of which any of several clients may get a message: those that two shared when this was last asked for or share now,
   * or that one had, of those that the client may have had in the meantime.
   */
  sharedFilters(isOfClient: (filter: string) => boolean): ReadonlySet<string> {
    const { directory } = this.#mqtt
    const before = this.#shared
    const now = new Map<string, number>()
    if (directory.subscriptions.sharedSize > 0) {
      for (const { subscriptions } of directory.all()) {
        for (const filter of subscriptions.filters()) {
          if (filter.startsWith("$share/")) now.set(filter, directory.subscriptions.group(filter)!.size)
        }
      }
    }
    this.#shared = now
    const filters = new Set<string>()
    for (const [filter, members] of [...before, ...now]) {
      if (members > 1 || isOfClient(filter)) filters.add(parseSharedFilter(filter)!.filter)
    }
    return filters
  }

  takeRefusals(): ReadonlyArray<string> {
    const refusals = this.#refusals
    this.#refusals = []
    return refusals
  }

  /** Messages that were not sent since the last call: each was above its client's Maximum Packet Size. */
  takeTooLarge(): number {
    const before = this.#tooLarge
    this.#tooLarge = this.#mqtt.metrics.droppedFor("packet_too_large")
    return this.#tooLarge - before
  }

  /** What is left of all that was said so far. Of connections that were closed nothing may be. */
  left(): string {
    const { gate, directory } = this.#broker
    const { memory, logs } = this.#shard
    const { directory: sessions, retained } = this.#mqtt
    const transitBytes = memory.bytes("transit")
    if (this.#staying === undefined && (gate.open > 0 || transitBytes > 0)) {
      this.faults.push(`${gate.open} connections and ${transitBytes} bytes are left`)
    }
    const records = directory.byName(streamName)!.logIds.map((logId) => logs.log(logId).highWatermark)
    return (
      `${sessions.size} sessions with ${sessions.subscriptions.size} subscriptions, ` +
      `${retained.index.size} retained messages, ${records.join(" and ")} records`
    )
  }

  /** What waits for whom: messages in queues, and those that are to go to other members of shared subscriptions. */
  waiting(): string {
    const lines: Array<string> = []
    for (const { id, state } of this.#shard.actors.live()) {
      if (kindOf(id) !== SessionKind.name) continue
      const { queue, released } = state as SessionState
      const texts = Array.from(queue.values(), ({ offset, qos, share }) => `${offset} ${qos} ${share}`)
      for (const { offset, qos, share } of released) texts.push(`released ${offset} ${qos} ${share}`)
      if (texts.length > 0) lines.push(`${id}: ${texts.toSorted().join(", ")}`)
    }
    return lines.toSorted().join("\n")
  }

  sessionBytes(): string {
    const { memory } = this.#shard
    return `${memory.bytes("sessions")} bytes for sessions, ${memory.bytes("queues")} for what waits for them`
  }
}

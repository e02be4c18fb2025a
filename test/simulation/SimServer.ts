import { Authorizer } from "@logbrook/core/access/Authorizer"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import type { Clock } from "@logbrook/core/Clock"
import { Settler, type Rewriting, type SettleFailure, type SettlerOptions } from "@logbrook/core/settle/Settler"
import type { Settled } from "@logbrook/core/settle/SettleJob"
import type { Journal } from "@logbrook/core/journal/Journal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { Shard } from "@logbrook/core/shard/Shard"
import { definitions, type Broker } from "@logbrook/server/Broker"
import type { DiskGuard } from "@logbrook/server/DiskGuard"
import { KafkaConnection } from "@logbrook/server/kafka/KafkaConnection"
import { KafkaNode } from "@logbrook/server/kafka/KafkaNode"
import type { Fields, Log } from "@logbrook/server/Log"
import { Metrics } from "@logbrook/server/Metrics"
import { makeMqttBroker, type MqttBroker } from "@logbrook/server/mqtt/MqttBroker"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import { ConnectionGate, type Admission } from "@logbrook/server/net/ConnectionGate"
import { compactedLogs } from "@logbrook/server/settling"
import { clockStartOf, Retention } from "@logbrook/server/Retention"
import { forgetDeletedStreams } from "@logbrook/server/streams/forgetDeletedStreams"
import { StreamDirectory } from "@logbrook/server/streams/StreamDirectory"
import type { Hooks } from "./faults/Hooks.ts"
import type { Link } from "./Network.ts"
import type { Process } from "./Scheduler.ts"
import { FakeSocket, transportOf } from "./serverEnds.ts"
import type { SimJournal } from "./SimJournal.ts"

export interface ServerOptions {
  readonly process: Process
  readonly journal: SimJournal
  readonly limits: Partial<Limits>
  readonly hooks: Hooks
  readonly definitions: (own: ReadonlyArray<AnyDefinition>) => ReadonlyArray<AnyDefinition>
  readonly onDied: (why: string) => void
  readonly onDefect: (where: string, defect: unknown) => void
  readonly onRestart: () => void
  /** Undefined: segments stay as they are written. */
  readonly settling: SettlingOptions | undefined
  readonly log: (level: keyof Log, message: string, fields: Fields) => void
}

/** What `startSettling` is given, and a worker over the simulated disk. */
export interface SettlingOptions {
  readonly clock: Clock
  readonly work: SettlerOptions["work"]
  readonly rewriting: Omit<Rewriting, "keptFromSeq">
  readonly at: NonNullable<SettlerOptions["at"]>
  readonly onSettled: (segment: string, settled: Settled, kind: string) => void
  readonly onFailed: (segment: string, detail: string, failure: SettleFailure) => void
}

const sweepEveryMs = 1000
const restartDelayMs = 20
const advertised = { host: "sim", port: 9092 }

/** What clients call themselves that read zstd. */
export const zstdSoftware = "simulated-zstd"

/** Disk space, of which the simulation says how much there is. */
interface SimDiskGuard {
  isLow: boolean
  readonly freeBytes: number
  readonly totalBytes: number
  readonly wrote: () => void
}

const makeLog = (tell: ServerOptions["log"]): Log => {
  const at =
    (level: keyof Log) =>
    (message: string, fields: Fields = {}): void =>
      tell(level, message, fields)
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
}

/** One life of the server: what `Server.ts` composes, over a simulated journal, clock and network. */
export class SimServer {
  readonly broker: Broker
  readonly mqtt: MqttBroker
  readonly node: KafkaNode
  readonly journal: SimJournal
  readonly disk: SimDiskGuard = { isLow: false, freeBytes: 1e12, totalBytes: 1e12, wrote: () => undefined }
  readonly #options: ServerOptions
  readonly #retention: Retention
  readonly settler: Settler | undefined
  readonly #mqttConnections = new Set<MqttConnection>()
  readonly #kafkaConnections = new Set<KafkaConnection>()
  readonly links = new Set<Link>()
  #isListening = true

  /** Recovers and listens. Throws what `Shard.recover` throws. */
  constructor(options: ServerOptions) {
    this.#options = options
    const { process, hooks } = options
    const limits: Limits = { ...defaultLimits, ...options.limits }
    this.journal = options.journal
    const journal: Journal = hooks.journal?.(options.journal) ?? options.journal
    const shard = new Shard({
      journal,
      clock: hooks.shardClock?.(process) ?? process,
      limits,
      definitions: options.definitions(definitions(limits)),
      number: 0,
      version: "simulated",
      onPoison: ({ reason, detail }) => options.onDied(`${reason}: ${detail}`),
      onDefect: options.onDefect,
      onRestart: options.onRestart
    })
    shard.logs.buffers.poison = 0xdb
    shard.recover()
    hooks.recovered?.(shard)
    this.broker = {
      shard,
      directory: StreamDirectory.follow(shard, limits),
      authorizer: new Authorizer(),
      disk: this.disk as unknown as DiskGuard,
      gate: new ConnectionGate({ ...limits, connectionsPerAddressMax: 1000 }, process, shard.memory),
      clock: process,
      limits,
      metrics: new Metrics(),
      log: makeLog(options.log),
      clusterId: "simulated",
      nodeId: 1
    }
    const mqtt = makeMqttBroker(this.broker)
    this.mqtt = mqtt
    this.node = new KafkaNode(this.broker, new Set([zstdSoftware]))
    this.#retention = new Retention(this.broker, undefined, clockStartOf(shard, journal))
    this.#retention.start()
    this.settler = this.#settler(options)
    this.settler?.start()
    mqtt.listens()
    forgetDeletedStreams(this.broker)
    this.#sweep()
    this.#start()
  }

  /** As `startSettling` does. */
  #settler({ settling, journal }: ServerOptions): Settler | undefined {
    if (settling === undefined) return undefined
    const { clock, work, rewriting, at, onSettled, onFailed } = settling
    const { shard, directory, limits } = this.broker
    return new Settler({
      journal,
      logs: shard.logs,
      clock,
      work,
      onHold: (isHeld) => shard.hold(isHeld),
      rewriting: { ...rewriting, keptFromSeq: () => this.#retention.keptFromSeq() },
      compaction: { settings: () => compactedLogs(directory), mapBytesMax: limits.compactionKeysBytesMax },
      at,
      onSettled: (segment, settled, _durationMs, kind) => onSettled(segment, settled, kind),
      onFailed
    })
  }

  /** As `supervise` does. */
  #start(): void {
    const { shard } = this.broker
    shard.start((defect) => {
      this.#options.onDefect("turn", defect)
      void this.#restart()
    })
  }

  async #restart(): Promise<void> {
    const { shard } = this.broker
    await shard.settled()
    shard.rebuild()
    this.#options.process.after(restartDelayMs, () => this.#start())
  }

  #sweep(): void {
    const { process } = this.#options
    process.after(sweepEveryMs, () => {
      for (const connection of this.#kafkaConnections) connection.sweep(process.monotonicMs())
      this.#sweep()
    })
  }

  /** False: nobody listens. */
  accept(link: Link, protocol: "mqtt" | "kafka", address: string): boolean {
    if (!this.#isListening) return false
    const admission = this.broker.gate.admit(address)
    if (admission === undefined) return false
    this.links.add(link)
    if (protocol === "mqtt") this.#acceptMqtt(link, address, admission)
    else this.#acceptKafka(link, address, admission)
    return true
  }

  #acceptMqtt(link: Link, address: string, admission: Admission): void {
    const { process } = this.#options
    let connection: MqttConnection | undefined
    const transport = transportOf(link, process, address, () => connection?.onDrain())
    const made = new MqttConnection(this.mqtt, transport, admission)
    connection = made
    this.#mqttConnections.add(made)
    this.#closes(link, () => {
      this.#mqttConnections.delete(made)
      made.onClosed()
    })
    link.toServer.attach({ onBytes: (chunk) => made.onChunk(chunk), onEnd: () => this.#ended(link, made) })
  }

  #acceptKafka(link: Link, address: string, admission: Admission): void {
    const socket = new FakeSocket(link, this.#options.process)
    const made = new KafkaConnection(this.node, socket.asSocket(), { address, port: 1 }, advertised, admission)
    this.#kafkaConnections.add(made)
    this.#closes(link, () => {
      socket.destroyed = true
      this.#kafkaConnections.delete(made)
      made.closed()
    })
    link.toServer.attach({ onBytes: (chunk) => made.onBytes(chunk), onEnd: () => this.#ended(link, made) })
  }

  #closes(link: Link, closed: () => void): void {
    const { process } = this.#options
    link.onServerClosed = () => {
      this.links.delete(link)
      if (process.isAlive) closed()
    }
  }

  /** The client has ended its side; the connection ends ours (`allowHalfOpen`). */
  #ended(link: Link, connection: { readonly ended: () => void }): void {
    if (!this.#options.process.isAlive) return
    link.clientEnded()
    connection.ended()
  }

  /** Ends in order, as the release of `Server.ts`'s scope does. */
  async stop(): Promise<void> {
    this.#isListening = false
    const { shard } = this.broker
    for (const connection of this.#kafkaConnections) connection.stop()
    await this.mqtt.stops(this.#mqttConnections)
    for (const connection of this.#kafkaConnections) connection.destroy()
    this.node.refusals.flush()
    await this.settler?.stop()
    this.#retention.stop()
    if (!shard.isPoisoned) await shard.drained()
    shard.stop()
  }

  /** The process is gone, at once. */
  kill(): void {
    this.#isListening = false
    this.#options.process.isAlive = false
    this.journal.kill()
    for (const link of this.links) link.breakSoon(50)
    this.links.clear()
  }

  /** Connections and their unread bytes, for the limits. */
  get connections(): number {
    return this.#mqttConnections.size + this.#kafkaConnections.size
  }
}

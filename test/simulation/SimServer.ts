import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { anonymous } from "@logbrook/core/access/Access"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import type { Clock } from "@logbrook/core/Clock"
import { compress } from "@logbrook/core/Compression"
import type { Rewriting, Settler, SettlerOptions } from "@logbrook/core/settle/Settler"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import { definitions, type Broker } from "@logbrook/server/Broker"
import {
  Broker as BrokerService,
  layer,
  layerRetention,
  layerSettling,
  Mqtt,
  Settling
} from "@logbrook/server/composition"
import type { Disk } from "@logbrook/server/DiskGuard"
import { KafkaConnection } from "@logbrook/server/kafka/KafkaConnection"
import { KafkaNode } from "@logbrook/server/kafka/KafkaNode"
import type { Compressing } from "@logbrook/server/kafka/Recompressor"
import type { Fields, Log } from "@logbrook/server/Log"
import { Metrics } from "@logbrook/server/Metrics"
import type { MqttBroker } from "@logbrook/server/mqtt/MqttBroker"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import { defaultMqttOptions } from "@logbrook/server/mqtt/MqttOptions"
import type { Admission } from "@logbrook/server/net/ConnectionGate"
import * as Services from "@logbrook/server/services"
import { Fibers } from "./Fibers.ts"
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
  readonly onSettled: NonNullable<SettlerOptions["onSettled"]>
  readonly onFailed: NonNullable<SettlerOptions["onFailed"]>
}

const sweepEveryMs = 1000
const advertised = { host: "sim", port: 9092 }

/** What clients call themselves that read zstd. */
export const zstdSoftware = "simulated-zstd"

/** A thread takes time, in which others go on; batches are small here. */
const compressingIn = (process: Pick<Clock, "after">): Compressing => ({
  later: (codec, bytes, done) => void process.after(bytes.length % 8, () => done(compress(codec, bytes))),
  largeBytesMin: 200
})

/** Disk space, of which the simulation says how much there is. */
interface SimDiskSpace extends Disk {
  isLow: boolean
}

const makeLog = (tell: ServerOptions["log"]): Log => {
  const at =
    (level: keyof Log) =>
    (message: string, fields: Fields = {}): void =>
      tell(level, message, fields)
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
}

/** What the product's composition is given here in place of a disk and the system's clock. */
const layerOf = (options: ServerOptions, disk: Disk, limits: Limits) => {
  const { process, hooks } = options
  const parts = Context.empty().pipe(
    Context.add(Services.Journal, hooks.journal?.(options.journal) ?? options.journal),
    Context.add(Services.Segments, options.journal),
    Context.add(Services.Clock, hooks.clock?.(process) ?? process),
    Context.add(Services.Disk, disk),
    Context.add(Services.Log, makeLog(options.log)),
    Context.add(Services.Metrics, new Metrics()),
    Context.add(Services.Authorizer, new Authorizer()),
    Context.add(Services.Settings, {
      limits,
      mqtt: defaultMqttOptions,
      definitions: options.definitions(definitions(limits)),
      version: "simulated",
      clusterId: "simulated",
      nodeId: 1
    }),
    Context.add(Services.Faults, {
      died: options.onDied,
      defect: options.onDefect,
      shardRestarts: (defect) => options.onDefect("turn", defect),
      actorRestarted: options.onRestart
    })
  )
  return Layer.succeedContext(parts)
}

const layerSettlingOf = ({ rewriting, ...rest }: SettlingOptions) =>
  layerSettling((retention, shard) => ({
    ...rest,
    rewriting: { ...rewriting, keptFromSeq: () => retention.keptFromSeq(shard) }
  }))

/** One life of the server: what `Server.ts` composes, over a simulated journal, clock and network. */
export class SimServer {
  readonly broker: Broker
  readonly shard: Shard
  readonly mqtt: MqttBroker
  readonly node: KafkaNode
  readonly journal: SimJournal
  readonly disk: SimDiskSpace = {
    isLow: false,
    isTight: false,
    freeBytes: 1e12,
    totalBytes: 1e12,
    reserveBytes: 0,
    wrote: () => undefined
  }
  readonly #options: ServerOptions
  readonly #fibers = new Fibers()
  readonly #scope = Effect.runSync(Scope.make())
  readonly #mqttConnections = new Set<MqttConnection>()
  readonly #kafkaConnections = new Set<KafkaConnection>()
  readonly links = new Set<Link>()
  /** Undefined: segments stay as they are written. */
  readonly settler: Settler | undefined
  #isListening = true

  /** Recovers and listens. Throws what `Shard.recover` throws. */
  constructor(options: ServerOptions) {
    this.#options = options
    this.journal = options.journal
    const parts = layerOf(options, this.disk, { ...defaultLimits, ...options.limits, connectionsPerAddressMax: 1000 })
    const { settling } = options
    const kept = layerRetention().pipe(Layer.provideMerge(layer), Layer.provideMerge(parts))
    const whole = settling === undefined ? kept : Layer.provideMerge(layerSettlingOf(settling), kept)
    const context = this.#fibers.runNow(Layer.buildWithScope(whole, this.#scope))
    this.broker = Context.get(context, BrokerService)
    this.shard = this.broker.shards.all[0]!
    this.shard.logs.buffers.poison = 0xdb
    this.mqtt = Context.get(context, Mqtt)
    this.settler = Option.getOrUndefined(Context.getOption(context, Settling))
    const ofClients = { zstdClients: new Set([zstdSoftware]), autoCreateTopics: false, defaultPartitions: 1 }
    this.node = new KafkaNode(this.broker, ofClients, compressingIn(options.process))
    this.mqtt.listens()
    this.#sweep()
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
    const made = new KafkaConnection(
      this.node,
      socket.asSocket(),
      { address, port: 1, principal: anonymous },
      advertised,
      admission
    )
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
    for (const connection of this.#kafkaConnections) connection.stop()
    await this.mqtt.stops(this.#mqttConnections)
    for (const connection of this.#kafkaConnections) connection.destroy()
    this.node.refusals.flush()
    await this.#fibers.run(Scope.close(this.#scope, Exit.void))
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

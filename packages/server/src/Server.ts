import * as fs from "node:fs"
import * as path from "node:path"
import { randomBytes } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { kindOf } from "@logbrook/core/actor/Definition"
import { writeWhole } from "@logbrook/core/backup/files"
import { manifestFile } from "@logbrook/core/backup/Manifest"
import { systemClock } from "@logbrook/core/Clock"
import type { AppendFailure } from "@logbrook/core/journal/Journal"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import type { Recovery } from "@logbrook/core/shard/recover"
import { Shard } from "@logbrook/core/shard/Shard"
import { supervise } from "@logbrook/core/shard/supervise"
import { definitions, type Broker } from "./Broker.ts"
import type { Config } from "./config/Config.ts"
import type { LoadedConfig } from "./config/loadConfig.ts"
import { DiskGuard } from "./DiskGuard.ts"
import type { ApiParts } from "./http/ApiParts.ts"
import { listenHttp, type HttpOptions, type Readiness } from "./http/HttpServer.ts"
import { listenKafka } from "./kafka/KafkaListener.ts"
import type { Log } from "./Log.ts"
import { Metrics } from "./Metrics.ts"
import { makeMqttBroker, type MqttBroker } from "./mqtt/MqttBroker.ts"
import { listenMqtt } from "./mqtt/MqttListener.ts"
import { listenMqttWebSocket } from "./mqtt/MqttWebSocket.ts"
import { ConnectionGate } from "./net/ConnectionGate.ts"
import { clockStartOf, Retention, type History } from "./Retention.ts"
import type { ClockStart } from "./RetentionClock.ts"
import { watchCommits } from "./serverMetrics.ts"
import { startSettling, type SettlingOptions } from "./settling.ts"
import { StreamDirectory } from "./streams/StreamDirectory.ts"
import { version } from "./version.ts"

export interface Ports {
  readonly mqtt: number
  readonly mqttWs: number
  readonly kafka: number
  readonly http: number
}

export interface RunningServer {
  readonly broker: Broker
  readonly ports: Ports
  readonly recovery: Recovery
  /** In order: not ready, no new connections, clients told, everything durable, all closed. */
  readonly stop: () => Promise<void>
  /** Resolves with the reason when the server cannot go on: a commit failed, or the shard was given up. */
  readonly died: Promise<string>
}

/** Where a start went wrong, for a message that names port and flag. */
export class ListenFailed extends Error {
  readonly _tag = "ListenFailed"
  readonly what: keyof Ports
  readonly code: string
  readonly port: number
  constructor(what: keyof Ports, port: number, cause: NodeJS.ErrnoException) {
    super(cause.message, { cause })
    this.what = what
    this.port = port
    this.code = cause.code ?? "UNKNOWN"
  }
}

interface Listening {
  readonly port: number
  readonly close: () => Promise<void>
}

const clusterIdFile = "cluster-id"

/** Made once per data directory. */
const clusterIdOf = (directory: string): string => {
  const file = path.join(directory, clusterIdFile)
  if (!fs.existsSync(file)) writeWhole(file, randomBytes(16).toString("base64url"))
  return fs.readFileSync(file, "utf8").trim()
}

/** Throws `JournalError` for a backup's directory: its next backup would refuse what a server adds. */
const throwIfBackup = (directory: string): void => {
  if (!fs.existsSync(path.join(directory, manifestFile))) return
  const advice = "logbrook restore makes a data directory of it"
  throw new JournalError("UnknownFormat", `${directory} holds a backup (${manifestFile}): ${advice}`)
}

const openJournal = (config: Config): Effect.Effect<LmdbJournal, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      throwIfBackup(config.dataDir)
      return LmdbJournal.open({
        directory: config.dataDir,
        segmentBytes: config.limits.segmentBytesMax,
        segmentRefsMax: config.limits.segmentIndexEntriesMax
      })
    }),
    (journal) => Effect.promise(() => journal.close())
  )

const listening = (what: keyof Ports, port: number, listen: () => Promise<Listening>) =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: listen, catch: (error) => new ListenFailed(what, port, error as NodeJS.ErrnoException) }),
    (server) => Effect.promise(() => server.close())
  )

interface Dying {
  readonly promise: Promise<string>
  readonly because: (reason: string) => void
}

const makeDying = (): Dying => {
  const { promise, resolve } = Promise.withResolvers<string>()
  return { promise, because: resolve }
}

const makeBroker = (config: Config, journal: LmdbJournal, log: Log, dying: Dying) => {
  const { limits } = config
  const metrics = new Metrics()
  const shard = new Shard({
    journal,
    clock: systemClock,
    limits,
    definitions: definitions(limits),
    number: 0,
    version,
    onPoison: ({ reason, detail }: AppendFailure) => dying.because(`the journal failed (${reason}): ${detail}`),
    onRestart: (actor) => metrics.add("logbrook_actor_restarts_total", { kind: kindOf(actor) }),
    onDefect: (where, defect) =>
      log.error("defect", { where, error: defect instanceof Error ? defect.stack : String(defect) })
  })
  const recovery = shard.recover()
  const broker: Broker = {
    shard,
    directory: StreamDirectory.follow(shard, limits),
    authorizer: new Authorizer(),
    disk: new DiskGuard(config.dataDir, limits),
    gate: new ConnectionGate(limits, systemClock, shard.memory),
    clock: systemClock,
    limits,
    metrics,
    log,
    clusterId: clusterIdOf(config.dataDir),
    nodeId: 1
  }
  watchCommits(broker, journal)
  // Before anything is decided: the start itself is a commit of now.
  return { broker, recovery, clockStart: clockStartOf(shard, journal) }
}

const watchDisk = ({ disk, clock, log }: Broker, journal: LmdbJournal): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      journal.hasRoomForSpares = () => !disk.isTight
      disk.start(clock, (isLow, freeBytes) => {
        if (isLow) dropSpares(journal, log)
        if (isLow) log.warn("disk low: writes are refused until space is free", { freeBytes })
        else log.info("disk has room again: writes are taken", { freeBytes })
      })
    }),
    () => Effect.sync(() => disk.stop())
  )

const dropSpares = (journal: LmdbJournal, log: Log): void => {
  try {
    journal.dropSpares()
  } catch (error) {
    log.warn("files that nobody needs cannot be removed", { error: String(error) })
  }
}

const keepRetention = (
  broker: Broker,
  history: History,
  clockStart: ClockStart
): Effect.Effect<Retention, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const retention = new Retention(broker, history, clockStart)
      retention.start()
      return retention
    }),
    (retention) => Effect.sync(() => retention.stop())
  )

const keepSettling = (
  broker: Broker,
  journal: LmdbJournal,
  options: SettlingOptions
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => startSettling(broker, journal, options)),
      (settler) => Effect.promise(() => settler.stop())
    )
  )

/** The shard's fiber, whose end is the server's end. */
const runShard = ({ shard, log }: Broker, dying: Dying) =>
  Effect.gen(function* () {
    const fiber = yield* supervise(shard, (fault) => log.error("the shard restarts", { error: String(fault.defect) }))
    yield* Effect.forkScoped(
      Effect.flatMap(Fiber.await(fiber), (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) dying.because("the shard failed too often")
        })
      )
    )
    // Runs before the fiber is interrupted: what was accepted becomes durable, and the stop is journaled.
    yield* Effect.addFinalizer(() => (shard.isPoisoned ? Effect.void : Effect.promise(() => shard.drained())))
  })

type HttpParts = Pick<HttpOptions, "journal" | "readiness" | keyof ApiParts>

const listenAll = (config: Config, broker: Broker, mqttBroker: MqttBroker, parts: HttpParts) =>
  Effect.gen(function* () {
    const { host } = config
    const http = yield* listening("http", config.http.port, () =>
      listenHttp(broker, { host, port: config.http.port, ...parts })
    )
    const advertised = config.kafka.advertised ?? { host, port: 0 }
    const zstdClients = new Set(config.kafka.zstdClients.split(","))
    const kafka = yield* listening("kafka", config.kafka.port, () =>
      listenKafka(broker, { host, port: config.kafka.port, advertised, zstdClients })
    )
    const mqtt = yield* listening("mqtt", config.mqtt.port, () =>
      listenMqtt(broker, mqttBroker, { host, port: config.mqtt.port })
    )
    const origins = new Set(config.mqttWs.origins.split(","))
    const mqttWs = yield* listening("mqttWs", config.mqttWs.port, () =>
      listenMqttWebSocket(broker, mqttBroker, { host, port: config.mqttWs.port, origins })
    )
    return { mqtt: mqtt.port, mqttWs: mqttWs.port, kafka: kafka.port, http: http.port }
  })

/** The one composition: what is acquired here is released in reverse order. */
const server = ({ config, settings }: LoadedConfig, log: Log, dying: Dying) =>
  Effect.gen(function* () {
    const journal = yield* openJournal(config)
    const { broker, recovery, clockStart } = makeBroker(config, journal, log, dying)
    // Before the shard runs: a restart's first turns publish the wills of connections that the crash took.
    const mqttBroker = makeMqttBroker(broker)
    yield* watchDisk(broker, journal)
    yield* runShard(broker, dying)
    const retention = yield* keepRetention(broker, config.journal, clockStart)
    if (config.journal.settle) {
      const { segmentBytes } = config.journal
      yield* keepSettling(broker, journal, {
        segmentBytes,
        keptFromSeq: () => retention.keptFromSeq(),
        clock: retention.clock
      })
    }
    const readiness: Readiness = { isDraining: false }
    const ports = yield* listenAll(config, broker, mqttBroker, {
      journal,
      readiness,
      unmatched: mqttBroker.unmatched,
      sessions: () => mqttBroker.directory.size,
      retentionClock: retention.clock,
      config: { settings, sinceMs: broker.clock.nowMs() }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => void (readiness.isDraining = true)))
    return { broker, recovery, ports }
  })

/** Rejects with `ListenFailed` or `JournalError`; nothing is left open then. */
export const startServer = async (loaded: LoadedConfig, log: Log): Promise<RunningServer> => {
  const dying = makeDying()
  const scope = Effect.runSync(Scope.make())
  const stop = () => Effect.runPromise(Scope.close(scope, Exit.void))
  const exit = await Effect.runPromiseExit(Scope.extend(server(loaded, log, dying), scope))
  if (Exit.isFailure(exit)) {
    await stop()
    throw Cause.squash(exit.cause)
  }
  return { ...exit.value, stop, died: dying.promise }
}

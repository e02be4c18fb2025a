import * as fs from "node:fs"
import * as path from "node:path"
import { randomBytes } from "node:crypto"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { kindOf } from "@logbrook/core/actor/Definition"
import { writeWhole } from "@logbrook/core/backup/files"
import { manifestFile } from "@logbrook/core/backup/Manifest"
import { systemClock } from "@logbrook/core/Clock"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { readingJournal } from "@logbrook/core/journal/readingJournal"
import type { Recovery } from "@logbrook/core/shard/recover"
import { definitions, type Broker as BrokerValue } from "./Broker.ts"
import { Broker, layer, layerRetention, layerSettling, Recovered } from "./composition.ts"
import type { Config } from "./config/Config.ts"
import type { LoadedConfig } from "./config/loadConfig.ts"
import { defectText } from "./defectText.ts"
import { DiskGuard } from "./DiskGuard.ts"
import { Certificates, layerListeners, type Ports, Serving } from "./listeners.ts"
import type { Log } from "./Log.ts"
import { Metrics } from "./Metrics.ts"
import type { ListenFailed } from "./net/listen.ts"
import type { Listening } from "./net/Listener.ts"
import type { TlsFileInvalid } from "./net/tls/Credentials.ts"
import * as Services from "./services.ts"
import { rewritingOf } from "./settling.ts"
import { version } from "./version.ts"

export interface RunningServer {
  readonly broker: BrokerValue
  readonly ports: Ports
  readonly listeners: ReadonlyArray<Listening>
  readonly recovery: Recovery
  /** Reads the listeners' certificates anew; new connections get them. */
  readonly reloadCertificates: () => void
  /** In order: not ready, no new connections, clients told, everything durable, all closed. */
  readonly stop: () => Promise<void>
  /** Resolves with the reason when the server cannot go on: a commit failed, or the shard was given up. */
  readonly died: Promise<string>
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

/** A directory that cannot be used as it is; `message` is the system's. */
export class DataDirUnusable extends Data.TaggedError("DataDirUnusable")<{
  readonly directory: string
  readonly message: string
}> {}

const unusable: ReadonlySet<string | undefined> = new Set(["EACCES", "ENOTDIR", "EROFS", "ENOSPC"])

/** A refusal of the operating system there is a failure of the start; every other error is a defect. */
const inDataDir = <A, E>(directory: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | DataDirUnusable> =>
  Effect.catchSomeDefect(effect, (defect) =>
    defect instanceof Error && unusable.has((defect as NodeJS.ErrnoException).code)
      ? Option.some(Effect.fail(new DataDirUnusable({ directory, message: defect.message })))
      : Option.none()
  )

const openJournal = (config: Config) =>
  Effect.acquireRelease(
    inDataDir(
      config.dataDir,
      readingJournal(() => {
        throwIfBackup(config.dataDir)
        return LmdbJournal.open({
          directory: config.dataDir,
          segmentBytes: config.limits.segmentBytesMax,
          segmentRefsMax: config.limits.segmentIndexEntriesMax
        })
      })
    ),
    (journal) => Effect.promise(() => journal.close())
  )

interface Dying {
  readonly promise: Promise<string>
  readonly because: (reason: string) => void
}

const makeDying = (): Dying => {
  const { promise, resolve } = Promise.withResolvers<string>()
  return { promise, because: resolve }
}

const watchDisk = (config: Config, journal: LmdbJournal, log: Log) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const disk = new DiskGuard(config.dataDir, config.limits)
      journal.hasRoomForSpares = () => !disk.isTight
      disk.start(systemClock, (isLow, freeBytes) => {
        if (isLow) dropSpares(journal, log)
        if (isLow) log.warn("disk low: writes are refused until space is free", { freeBytes })
        else log.info("disk has room again: writes are taken", { freeBytes })
      })
      return disk
    }),
    (disk) => Effect.sync(() => disk.stop())
  )

const dropSpares = (journal: LmdbJournal, log: Log): void => {
  try {
    journal.dropSpares()
  } catch (error) {
    log.warn("files that nobody needs cannot be removed", { error: String(error) })
  }
}

const faultsOf = (metrics: Metrics, log: Log, dying: Dying): Context.Tag.Service<typeof Services.Faults> => ({
  died: dying.because,
  defect: (where, defect) => log.error("defect", { where, error: defectText(defect) }),
  shardRestarts: (defect) => log.error("the shard restarts", { error: String(defect) }),
  actorRestarted: (actor) => metrics.add("logbrook_actor_restarts_total", { kind: kindOf(actor) })
})

/** The parts of a server over a disk: `composition.ts` makes the rest of them. */
const layerParts = (config: Config, log: Log, dying: Dying) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const { limits, dataDir } = config
      const journal = yield* openJournal(config)
      const clusterId = yield* inDataDir(
        dataDir,
        Effect.sync(() => clusterIdOf(dataDir))
      )
      const metrics = new Metrics()
      return Context.empty().pipe(
        Context.add(Services.Journal, journal),
        Context.add(Services.Segments, journal),
        Context.add(Services.Clock, systemClock),
        Context.add(Services.Disk, yield* watchDisk(config, journal, log)),
        Context.add(Services.Log, log),
        Context.add(Services.Metrics, metrics),
        Context.add(Services.Authorizer, new Authorizer()),
        Context.add(Services.Settings, {
          limits,
          mqtt: config.mqtt,
          definitions: definitions(limits),
          version,
          clusterId,
          nodeId: 1
        }),
        Context.add(Services.Faults, faultsOf(metrics, log, dying))
      )
    })
  )

const layerOf = ({ config, settings }: LoadedConfig, log: Log, dying: Dying) => {
  const kept = layerRetention(config.journal).pipe(
    Layer.provideMerge(layer),
    Layer.provideMerge(layerParts(config, log, dying))
  )
  const settling = layerSettling((retention, shard) => ({
    rewriting: rewritingOf(config.journal.segmentBytes, () => retention.keptFromSeq(shard)),
    clock: retention.clock
  }))
  const behind = config.journal.settle ? Layer.discard(settling) : Layer.empty
  return layerListeners(config, settings).pipe(Layer.provideMerge(behind), Layer.provideMerge(kept))
}

/** A start fails with one of these. */
export type StartFailure = JournalError | DataDirUnusable | ListenFailed | TlsFileInvalid

/** Nothing is left open when it fails. */
export const startServer = (loaded: LoadedConfig, log: Log): Effect.Effect<RunningServer, StartFailure> =>
  Effect.gen(function* () {
    const dying = makeDying()
    const scope = yield* Scope.make()
    const close = Scope.close(scope, Exit.void)
    const parts = yield* Layer.buildWithScope(layerOf(loaded, log, dying), scope).pipe(Effect.onError(() => close))
    return {
      broker: Context.get(parts, Broker),
      recovery: Context.get(parts, Recovered).recovery,
      ...Context.get(parts, Serving),
      reloadCertificates: Context.get(parts, Certificates).reload,
      stop: () => Effect.runPromise(close),
      died: dying.promise
    }
  })

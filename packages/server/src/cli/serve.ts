import * as Effect from "effect/Effect"
import type { Config } from "../config/Config.ts"
import { makeLog } from "../Log.ts"
import { addressText, type Listening } from "../net/Listener.ts"
import type { RunningServer } from "../Server.ts"
import { plainText } from "../plainText.ts"
import { version } from "../version.ts"
import { exitCodes } from "./CliError.ts"
import type { Run } from "./commandLine.ts"
import { configOf } from "./configFiles.ts"
import { withJournalHints } from "./failures.ts"
import { counted, painted, type Io } from "./Io.ts"
import { listenToSignals } from "./signals.ts"

const stopTimeoutMs = 10_000

const journalHints = {
  Locked: "stop that process, or name another directory with --data-dir",
  UnknownFormat: "it was written by another version of Logbrook, or is none of its directories",
  Gap: "a segment is missing: restore the directory from a backup",
  Corrupt: "the disk gave back something else than was written: logbrook doctor tells where, and what can be saved"
} as const

const titles = { mqtt: "MQTT", mqttWs: "MQTT WebSocket", kafka: "Kafka", http: "HTTP" } as const

/** Where people can click or copy it. */
const listenerText = ({ name, protocol, at, isTls }: Listening): string => {
  const text = addressText(at)
  const own = name === protocol ? "" : ` (${name})`
  if ("path" in at) return text + own
  const s = isTls ? "s" : ""
  if (protocol === "mqttWs") return `ws${s}://${text}/mqtt${own}`
  if (protocol === "http") return `http${s}://${text}${own}`
  return `${text}${isTls ? ", TLS" : ""}${own}`
}

const recoveryText = ({ broker, recovery }: RunningServer): string => {
  const streams = counted(broker.directory.all().size, "stream")
  if (recovery.events === 0) return `${streams}, a new journal`
  const events = counted(recovery.events, "event", recovery.events.toLocaleString("en-US"))
  return `${streams}, ${events} replayed in ${(recovery.durationMs / 1000).toFixed(1)} s`
}

const banner = (config: Config, io: Io, server: RunningServer): void => {
  const { ports, listeners } = server
  const host = addressText({ host: config.host, port: ports.http })
  const own = io.env["npm_lifecycle_event"] === undefined ? "logbrook" : "npx logbrook"
  const url = ports.http === 18_083 ? "" : ` --url http://${host}`
  const line = (name: string, text: string): void => io.out(`  ${painted(io, "dim", name.padEnd(16))}${text}`)
  io.out(`${painted(io, "bold", `Logbrook ${version}`)} on Node.js ${process.versions.node}`)
  line("data", plainText(`${config.dataDir} (${recoveryText(server)})`))
  for (const each of listeners) line(titles[each.protocol], listenerText(each))
  io.out("")
  // A hint for the first start only: later there are streams of one's own.
  if (listeners.some(({ isTls }) => isTls)) return
  const hasAll = ports.mqtt > 0 && ports.kafka > 0 && ports.http > 0
  if (!hasAll || server.broker.directory.all().size > 0) return
  io.out(`  ${own} streams create sensors --filter 'sensors/#'${url}`)
  io.out(`  mosquitto_pub -p ${ports.mqtt} -i dev1 -q 1 -t sensors/1 -m '{"celsius":21}'`)
  io.out(`  kcat -b ${addressText({ host: config.host, port: ports.kafka })} -C -t sensors -o beginning`)
  io.out("")
}

/** Ends the process at once if a stop takes too long. */
const stopInTime = async (server: RunningServer, io: Io): Promise<void> => {
  const timer = setTimeout(() => {
    io.err(`error[E_STOP_TIMEOUT]: not stopped within ${stopTimeoutMs / 1000} s`)
    process.exit(exitCodes.failure)
  }, stopTimeoutMs)
  await server.stop()
  clearTimeout(timer)
}

/** A journal that has failed may never finish its writes: nothing is waited for. */
const die = (io: Io, reason: string): never => {
  io.err(`error[E_DIED]: ${plainText(reason)}`)
  io.err("hint: everything that was acknowledged is durable; start again once the cause is gone")
  process.exit(exitCodes.failure)
}

/** Runs until a signal, or until the server cannot go on. */
export const serve: Run = (args, io) =>
  Effect.gen(function* () {
    const loaded = yield* configOf(args, io)
    const { config } = loaded
    const signals = listenToSignals(process, performance.now.bind(performance), () => {
      io.err("forced")
      process.exit(exitCodes.interrupted)
    })
    const log = makeLog(config.log.level, process.stderr, Date.now)
    const { startServer } = yield* Effect.promise(() => import("../Server.ts"))
    const server = yield* startServer(loaded, log).pipe(
      withJournalHints(journalHints),
      Effect.tapError(() => Effect.sync(signals.ignore))
    )
    banner(config, io, server)
    if (server.listeners.some(({ isTls }) => isTls)) process.on("SIGHUP", server.reloadCertificates)
    if (config.insecureListen) log.warn("anyone who reaches this host may read and write: nobody is authenticated")
    const end = yield* Effect.promise(() =>
      Promise.race([signals.first.then((signal) => ({ signal })), server.died.then((reason) => ({ reason }))])
    )
    if ("reason" in end) return die(io, end.reason)
    log.info("stopping", { signal: end.signal })
    yield* Effect.promise(() => stopInTime(server, io))
    log.info("stopped")
    return exitCodes.ok
  })

import type { Config } from "../config/Config.ts"
import { makeLog } from "../Log.ts"
import type { ListenFailed } from "../net/listen.ts"
import type { RunningServer, StartFailure } from "../Server.ts"
import { plainText } from "../plainText.ts"
import { version } from "../version.ts"
import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { configOf } from "./configFiles.ts"
import { counted, painted, type Io } from "./Io.ts"
import { cliErrorOf } from "./journalErrors.ts"
import { listenToSignals } from "./signals.ts"

const stopTimeoutMs = 10_000

const flags = { mqtt: "--mqtt-port", mqttWs: "--mqtt-ws-port", kafka: "--kafka-port", http: "--http-port" } as const
const protocols = { mqtt: "MQTT", mqttWs: "MQTT over WebSocket", kafka: "Kafka", http: "HTTP" } as const

const journalHints = {
  Locked: "stop that process, or name another directory with --data-dir",
  UnknownFormat: "it was written by another version of Logbrook, or is none of its directories",
  Gap: "a segment is missing: restore the directory from a backup",
  Corrupt: "the disk gave back something else than was written: logbrook doctor tells where, and what can be saved",
  Io: undefined
} as const

/** Says why a start failed, so that the user can do something about it. */
const startError = (config: Config, failure: StartFailure): CliError => {
  switch (failure._tag) {
    case "JournalError":
      return cliErrorOf(failure, journalHints[failure.reason])
    case "DataDirUnusable":
      return new CliError(exitCodes.failure, "E_DATA_DIR", `${config.dataDir} cannot be used: ${failure.message}`)
    case "ListenFailed":
      return listenError(config, failure)
  }
}

const listenError = (config: Config, { code, what, port, message }: ListenFailed): CliError => {
  const place = `${protocols[what]} cannot listen on ${config.host} port ${port}`
  if (code !== "EADDRINUSE") return new CliError(exitCodes.failure, "E_LISTEN", `${place}: ${message}`)
  const hint = `choose another with ${flags[what]}, or stop the program that has it`
  return new CliError(exitCodes.failure, "E_PORT_TAKEN", `${place}: the port is taken`, hint)
}

/** Where a name is shown that people can click or copy. */
const shownHost = (host: string): string => (host.includes(":") ? `[${host}]` : host)

const recoveryText = ({ broker, recovery }: RunningServer): string => {
  const streams = counted(broker.directory.all().size, "stream")
  if (recovery.events === 0) return `${streams}, a new journal`
  const events = counted(recovery.events, "event", recovery.events.toLocaleString("en-US"))
  return `${streams}, ${events} replayed in ${(recovery.durationMs / 1000).toFixed(1)} s`
}

const banner = (config: Config, io: Io, server: RunningServer): void => {
  const { ports } = server
  const host = shownHost(config.host)
  const own = io.env["npm_lifecycle_event"] === undefined ? "logbrook" : "npx logbrook"
  const url = ports.http === 18_083 ? "" : ` --url http://${host}:${ports.http}`
  const line = (name: string, text: string): void => io.out(`  ${painted(io, "dim", name.padEnd(16))}${text}`)
  io.out(`${painted(io, "bold", `Logbrook ${version}`)} on Node.js ${process.versions.node}`)
  line("data", `${config.dataDir} (${recoveryText(server)})`)
  line("MQTT", `${host}:${ports.mqtt}`)
  line("MQTT WebSocket", `ws://${host}:${ports.mqttWs}/mqtt`)
  line("Kafka", `${host}:${ports.kafka}`)
  line("HTTP", `http://${host}:${ports.http}`)
  io.out("")
  // A hint for the first start only: later there are streams of one's own.
  if (server.broker.directory.all().size > 0) return
  io.out(`  ${own} streams create sensors --filter 'sensors/#'${url}`)
  io.out(`  mosquitto_pub -p ${ports.mqtt} -i dev1 -q 1 -t sensors/1 -m '{"celsius":21}'`)
  io.out(`  kcat -b ${host}:${ports.kafka} -C -t sensors -o beginning`)
  io.out("")
}

const stopInTime = async (server: RunningServer): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), stopTimeoutMs)
  })
  const stopped = await Promise.race([server.stop().then(() => true), late])
  clearTimeout(timer)
  return stopped
}

/** Runs until a signal, or until the server cannot go on. */
export const serve = async (args: Arguments, io: Io): Promise<number> => {
  const loaded = await configOf(args, io)
  const { config } = loaded
  const signals = listenToSignals(process, performance.now.bind(performance), () => {
    io.err("forced")
    process.exit(exitCodes.interrupted)
  })
  const log = makeLog(config.log.level, process.stderr, Date.now)
  const [{ startServer }, Effect] = await Promise.all([import("../Server.ts"), import("effect/Effect")])
  const started = await Effect.runPromise(Effect.either(startServer(loaded, log)))
  if (started._tag === "Left") {
    signals.ignore()
    throw startError(config, started.left)
  }
  const server = started.right
  banner(config, io, server)
  if (config.insecureListen) log.warn("anyone who reaches this host may read and write: nobody is authenticated")
  const end = await Promise.race([
    signals.first.then((signal) => ({ signal })),
    server.died.then((reason) => ({ reason }))
  ])
  if ("reason" in end) {
    // A journal that has failed may never finish its writes: nothing is waited for.
    io.err(`error[E_DIED]: ${plainText(end.reason)}`)
    io.err("hint: everything that was acknowledged is durable; start again once the cause is gone")
    process.exit(exitCodes.failure)
  }
  log.info("stopping", { signal: end.signal })
  if (await stopInTime(server)) {
    log.info("stopped")
    return exitCodes.ok
  }
  io.err(`error[E_STOP_TIMEOUT]: not stopped within ${stopTimeoutMs / 1000} s`)
  process.exit(exitCodes.failure)
}

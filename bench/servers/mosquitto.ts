import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { CertificateFiles } from "./certificate.ts"
import { freePort, isListening, output, start, until } from "./processes.ts"
import type { Server } from "./Server.ts"

export interface MosquittoOptions {
  /** Its database is written at exit and every half hour, never per message. */
  readonly isPersistent: boolean
  /** It keeps what a subscriber has not taken yet, where it would else throw away what is behind 1,000 messages. */
  readonly isUnbounded: boolean
  /** It listens there as well, over TLS. */
  readonly tls?: CertificateFiles & { readonly port: number }
}

/** As it is shipped, a listener and the options apart. */
export const startMosquitto = async (
  cpus: string,
  { isPersistent, isUnbounded, tls }: MosquittoOptions
): Promise<Server> => {
  const directory = mkdtempSync(join(tmpdir(), "bench-mosquitto-"))
  const mqttPort = await freePort()
  const config = join(directory, "mosquitto.conf")
  const persistence = isPersistent ? `persistence true\npersistence_location ${directory}/\n` : ""
  const queues = isUnbounded ? "max_inflight_messages 0\nmax_queued_messages 0\n" : ""
  const secure = tls === undefined ? "" : `listener ${tls.port} 127.0.0.1\ncertfile ${tls.cert}\nkeyfile ${tls.key}\n`
  const all = `allow_anonymous true\nuser root\n${persistence}${queues}`
  writeFileSync(config, `listener ${mqttPort} 127.0.0.1\n${all}${secure}`)
  const started = start(cpus, "mosquitto", ["-c", config])
  const name = isPersistent ? "mosquitto, persistence" : "mosquitto"
  await until(`${name} is ready`, 10_000, () => isListening(mqttPort)).catch((error: Error) => {
    throw new Error(`${error.message}; ${started.said()}`)
  })
  const stop = async () => {
    await started.stop()
    rmSync(directory, { recursive: true, force: true })
  }
  return { name, pid: started.pid, mqttPort, stop }
}

/** `2.0.18`; undefined when it is not installed. */
export const mosquittoVersion = async (): Promise<string | undefined> =>
  /version (\S+)/.exec((await output("mosquitto", ["-h"])) ?? "")?.[1]

import * as fs from "node:fs"
import * as path from "node:path"
import { freePorts, host } from "../support/freePorts.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { EngineProcess } from "./EngineProcess.ts"

const readyMsMax = 120_000
const answerMsMax = 60_000

export interface ConnectOptions {
  /** Settings beside those of every worker. */
  readonly properties?: Readonly<Record<string, string>>
}

interface ConnectorStatus {
  readonly tasks: ReadonlyArray<{ readonly state: string; readonly worker_id: string; readonly trace?: string }>
}

/** As `connect-distributed.properties` of the distribution has it, but for the address, the converters and how long a worker that is gone is waited for. */
const distributed = (brokers: string, address: string): Readonly<Record<string, string>> => ({
  "bootstrap.servers": brokers,
  "group.id": "connect-cluster",
  "key.converter": "org.apache.kafka.connect.storage.StringConverter",
  "value.converter": "org.apache.kafka.connect.storage.StringConverter",
  "offset.storage.topic": "connect-offsets",
  "offset.storage.replication.factor": "1",
  "config.storage.topic": "connect-configs",
  "config.storage.replication.factor": "1",
  "status.storage.topic": "connect-status",
  "status.storage.replication.factor": "1",
  "offset.flush.interval.ms": "1000",
  listeners: `http://${address}`,
  "session.timeout.ms": "6000",
  "heartbeat.interval.ms": "1000",
  "scheduled.rebalance.max.delay.ms": "0"
})

export const writeProperties = (file: string, properties: Readonly<Record<string, string>>): void =>
  fs.writeFileSync(
    file,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join("")
  )

/** A worker of a cluster of Connect, which it joins by itself. */
export class ConnectWorker {
  /** By which other workers know it. */
  readonly id: string
  readonly process: EngineProcess

  private constructor(id: string, process: EngineProcess) {
    this.id = id
    this.process = process
  }

  /** `directory`: for its settings. Resolves once it answers. */
  static async start(brokers: string, directory: string, { properties = {} }: ConnectOptions): Promise<ConnectWorker> {
    const id = `${host}:${(await freePorts(1))[0]}`
    const file = path.join(directory, `${id.replace(":", "-")}.properties`)
    writeProperties(file, { ...distributed(brokers, id), ...properties })
    const main = "org.apache.kafka.connect.cli.ConnectDistributed"
    const worker = new ConnectWorker(id, EngineProcess.java("connect", main, [file]))
    await worker.process.until("Connect answers", readyMsMax, async () => {
      const response = await fetch(`http://${id}/connectors`).catch(() => undefined)
      return response?.ok === true
    })
    return worker
  }

  /** Tries again what the cluster refuses while it rebalances (409), and what fails meanwhile on its way to the leader (500). */
  async request<A>(method: string, route: string, body?: unknown): Promise<A> {
    const headers = { "content-type": "application/json" }
    const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) }
    let said = ""
    const text = await waitUntil(`${method} ${route}`, answerMsMax, async () => {
      const response = await fetch(`http://${this.id}${route}`, init)
      said = await response.text()
      if (response.ok) return said || "null"
      if (response.status === 409 || response.status === 500) return undefined
      throw new Error(`${method} ${route}: ${response.status} ${said}`)
    }).catch((error: Error) => {
      throw new Error(`${error.message}: ${said}`)
    })
    return JSON.parse(text) as A
  }

  /** Makes it, or changes it; resolves once its task runs. */
  async run(connector: string, config: Readonly<Record<string, string>>): Promise<void> {
    await this.request("PUT", `/connectors/${connector}/config`, config)
    await this.running(connector)
  }

  /** Until a task of the connector runs: the worker that runs it. */
  running(connector: string, except?: string): Promise<string> {
    return waitUntil(`a task of ${connector} runs`, readyMsMax, async () => {
      const response = await fetch(`http://${this.id}/connectors/${connector}/status`)
      if (!response.ok) return undefined
      const [task] = ((await response.json()) as ConnectorStatus).tasks
      if (task?.state === "FAILED") throw new Error(task.trace)
      return task?.state === "RUNNING" && task.worker_id !== except ? task.worker_id : undefined
    })
  }
}

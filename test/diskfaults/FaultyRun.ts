import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Audit } from "../crash/Audit.ts"
import { MqttPublisher, type Device } from "../crash/MqttPublisher.ts"
import { ServerProcess } from "../support/server.ts"
import { PlainProducer } from "./PlainProducer.ts"

const readings = { name: "readings", partitions: 2 }
const orders = { name: "orders", partitions: 1 }
const devices = 4
const sendEveryMs = 10
/** Large ones, so that the journal rolls and settles early. */
const payloadBytes = [40, 3000, 9000, 300]
export const endsWithinMs = 1000
/** Of a load in which the fault does not come up. */
const loadMsMax = 8000
const goesOnMs = 1200
const faultsShown = 5
const settings = { LOGBROOK_JOURNAL_SEGMENT_BYTES: "512KiB" }

export interface Fault {
  readonly name: string
  /** Of the server that is to fail; its data directory is below `directory`. */
  readonly env: (directory: string, logFile: string) => Promise<Readonly<Record<string, string>>>
  /** Once it is ready. */
  readonly started?: (server: ServerProcess) => Promise<unknown>
  /** A run in which it does not come up has failed. */
  readonly isCertain: boolean
  /** Whether the disk stays bad, so that nothing that is sent afterwards may be acknowledged. */
  readonly isSticky: boolean
  /** Mounts a disk that is too small, and unmounts it. */
  readonly disk?: {
    readonly mount: (directory: string) => Promise<unknown>
    readonly unmount: (directory: string) => Promise<unknown>
  }
}

export interface Outcome {
  readonly name: string
  /** "never": the fault did not come up. "start": it ended while it started. "worker": only a settling failed. */
  readonly end: "never" | "start" | "reason" | "signal" | "silent" | "worker" | "went on"
  /** From the fault to the end of the process. */
  readonly endedMs: number | undefined
  /** Where: operation and file. */
  readonly place: string
  readonly acknowledged: number
  /** The start needed a repair first. */
  readonly isRepaired: boolean
  readonly faults: ReadonlyArray<string>
}

/** `1795365692084 14517 write /tmp/…/seg-00000001.mdb` */
const readFault = (logFile: string) => {
  const text = fs.existsSync(logFile) ? fs.readFileSync(logFile, "utf8") : ""
  if (!text.includes("\n")) return undefined
  const [ms, pid, operation, file] = text.split("\n")[0]!.split(" ")
  return { ms: Number(ms), pid: Number(pid), place: `${operation} ${path.basename(file!)}` }
}

/** Bytes that a settling cannot make smaller: a disk shall fill up. */
const payloadOf = (text: string, n: number): Buffer => {
  const bytes = randomBytes(payloadBytes[n % payloadBytes.length]!)
  bytes.write(`${text} `)
  return bytes
}

const startLoad = (server: ServerProcess) => {
  const publishers = Array.from(
    { length: devices },
    (_, i) =>
      new MqttPublisher(server.ports.mqtt, `device-${i}`, i === 0 ? 2 : 1, `site/${i}`, ({ clientId }: Device, n) =>
        payloadOf(`${clientId} ${n}`, n)
      )
  )
  const producer = new PlainProducer(server.ports.kafka, orders.name, (n) => payloadOf(`order-${n}`, n))
  const sending = setInterval(() => publishers.forEach((publisher) => publisher.publish(1)), sendEveryMs)
  const end = async (): Promise<void> => {
    clearInterval(sending)
    for (const publisher of publishers) publisher.end()
    await producer.end()
  }
  return { devices: publishers.map(({ device }) => device), producer, end }
}

type Load = ReturnType<typeof startLoad>

const endOf = (server: ServerProcess, code: number | null): "reason" | "signal" | "silent" => {
  if (code === null) return "signal"
  return code === 1 && /error\[E_[A-Z_]+\]/.test(server.logTail()) ? "reason" : "silent"
}

/** A server meets a fault of its disk, and is started again on what is left, with a good disk. */
export class FaultyRun {
  readonly #fault: Fault
  readonly #root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-faults-"))
  readonly #logFile = path.join(this.#root, "fault.log")
  readonly #disk = path.join(this.#root, "disk")
  readonly #faults: Array<string> = []
  #isMounted = false
  #isRepaired = false
  #server: ServerProcess | undefined
  #load: Load | undefined

  constructor(fault: Fault) {
    this.#fault = fault
  }

  async run(): Promise<Outcome> {
    const { name, disk } = this.#fault
    fs.mkdirSync(this.#disk)
    await disk?.mount(this.#disk)
    this.#isMounted = disk !== undefined
    try {
      const { end, endedMs } = await this.#failing()
      const place = readFault(this.#logFile)?.place ?? ""
      if (end === "never" && this.#fault.isCertain) this.#faults.push("the fault did not come up")
      if (end === "silent") this.#faults.push(`ended without a reason: ${this.#server!.logTail()}`)
      const acknowledged = this.#load === undefined ? 0 : await this.#again(this.#load)
      if (this.#load === undefined) await this.#startsAgain()
      return { name, end, endedMs, place, acknowledged, isRepaired: this.#isRepaired, faults: this.#faults }
    } finally {
      await this.#server?.dispose().catch(() => undefined)
      if (this.#isMounted) await disk!.unmount(this.#disk)
      fs.rmSync(this.#root, { recursive: true, force: true })
    }
  }

  async #failing(): Promise<Pick<Outcome, "end" | "endedMs">> {
    const dataDir = path.join(this.#disk, "data")
    this.#server = await ServerProcess.make({ dataDir, env: { ...settings, ...(await this.#env()) } })
    const server = this.#server
    try {
      await server.start()
    } catch {
      const end = endOf(server, await server.exited())
      return { end: end === "reason" ? "start" : end, endedMs: undefined }
    }
    await this.#fault.started?.(server)
    await this.#begin(server)
    const startedMs = Date.now()
    while (readFault(this.#logFile) === undefined && server.isRunning && Date.now() - startedMs < loadMsMax)
      await sleep(5)
    const fault = readFault(this.#logFile)
    if (fault === undefined && server.isRunning) return this.#stopped("never")
    const code = await Promise.race([server.exited(), sleep(goesOnMs, "running" as const)])
    if (code === "running") return this.#goesOn(fault?.pid)
    const endedMs = fault === undefined ? undefined : Date.now() - fault.ms
    if (endedMs !== undefined && endedMs > endsWithinMs) this.#faults.push(`ended ${endedMs} ms after the fault`)
    if (this.#fault.isSticky && fault !== undefined) this.#nothingAfter(fault.ms)
    return { end: endOf(server, code), endedMs }
  }

  #env(): Promise<Readonly<Record<string, string>>> {
    return this.#fault.env(this.#disk, this.#logFile)
  }

  /** The fault may come up while the streams are made. */
  async #begin(server: ServerProcess): Promise<void> {
    try {
      await server.createStream(readings.name, { filters: ["site/+"], partitions: readings.partitions })
      await server.createStream(orders.name, { partitions: orders.partitions })
    } catch {
      return
    }
    this.#load = startLoad(server)
  }

  /** A server goes on only if it was not its journal that failed. */
  async #goesOn(pid: number | undefined): Promise<Pick<Outcome, "end" | "endedMs">> {
    const end = pid === this.#server!.pid ? "went on" : "worker"
    const place = readFault(this.#logFile)?.place
    if (end === "went on" && /^(write|sync|truncate) seg-\d+\.mdb/.test(place ?? ""))
      this.#faults.push(`goes on though its journal failed: ${this.#server!.logTail()}`)
    return this.#stopped(end)
  }

  async #stopped(end: Outcome["end"]): Promise<Pick<Outcome, "end" | "endedMs">> {
    await this.#server!.stop()
    return { end, endedMs: undefined }
  }

  /** What was sent when the disk had failed cannot be durable. */
  #nothingAfter(faultMs: number): void {
    for (const { clientId, acknowledgedSentMs } of this.#load?.devices ?? []) {
      if (acknowledgedSentMs > faultMs + 1)
        this.#faults.push(`${clientId}: acknowledged what was sent ${acknowledgedSentMs - faultMs} ms after the fault`)
    }
    const { acknowledgedSentMs = 0 } = this.#load?.producer ?? {}
    if (acknowledgedSentMs > faultMs + 1)
      this.#faults.push(`produced: acknowledged what was sent ${acknowledgedSentMs - faultMs} ms after the fault`)
  }

  async #startsAgain(): Promise<void> {
    const server = this.#server!
    server.env = settings
    await this.#toGoodDisk(server)
    if (!(await this.#starts(server))) return
    const code = await server.stop()
    if (code !== 0) this.#faults.push(`a stop on a good disk ends with ${code}: ${server.logTail()}`)
    await server
      .cli("journal", "verify", "--data-dir", server.dataDir)
      .catch((error: unknown) => this.#faults.push(String(error)))
  }

  /** A disk that is too small gets room. */
  async #toGoodDisk({ dataDir }: ServerProcess): Promise<void> {
    if (!this.#isMounted) return
    const copy = path.join(this.#root, "copy")
    fs.cpSync(dataDir, copy, { recursive: true })
    await this.#fault.disk!.unmount(this.#disk)
    this.#isMounted = false
    fs.cpSync(copy, dataDir, { recursive: true })
  }

  /**
   * A commit that was under way behind the one that failed may be on disk, acknowledged to nobody: a start refuses the
   * hole before it, and a repair leaves out what is behind it.
   */
  async #starts(server: ServerProcess): Promise<boolean> {
    try {
      await server.start()
      return true
    } catch (error) {
      if (!server.logTail().includes("E_JOURNAL_GAP")) {
        this.#faults.push(`does not start on a good disk: ${String(error)}`)
        return false
      }
    }
    this.#isRepaired = true
    const repaired = path.join(this.#root, "repaired")
    // It exits with 1, as for every damage that it finds.
    await server.cli("doctor", "--data-dir", server.dataDir, "--repair", "--into", repaired).catch(() => undefined)
    fs.rmSync(server.dataDir, { recursive: true })
    fs.renameSync(repaired, server.dataDir)
    return server.start().then(
      () => true,
      (error: unknown) => {
        this.#faults.push(`does not start after a repair: ${String(error)}`)
        return false
      }
    )
  }

  /** Everything that was acknowledged is there after a start on a good disk, which takes the load again. Says how many. */
  async #again({ devices, producer, end }: Load): Promise<number> {
    const server = this.#server!
    const acknowledged = devices.reduce((sum, device) => sum + device.acknowledged, producer.acknowledged.length)
    server.env = settings
    await this.#toGoodDisk(server)
    if (!(await this.#starts(server))) return acknowledged
    const audited = new Audit(server.kafka, undefined)
    await audited.devices(readings.name, readings.partitions, devices)
    await audited.produced(orders.name, orders.partitions, producer.acknowledged)
    await end()
    await audited.devices(readings.name, readings.partitions, devices)
    await audited.produced(orders.name, orders.partitions, producer.acknowledged)
    this.#faults.push(...audited.faults.slice(0, faultsShown))
    await server.stop()
    await this.#startsAgain()
    return acknowledged
  }
}

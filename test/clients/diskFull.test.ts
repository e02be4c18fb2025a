import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { IPublishPacket } from "mqtt"
import mqtt from "mqtt"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kcatRead } from "../support/kcat.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { outputOf } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

const diskMiB = 128
const ballastMiB = 60
const quotaExceeded = 0x97
const payload = Buffer.alloc(16_384, "x")

const mount = async (directory: string): Promise<void> => {
  const command = ["mount", "-t", "tmpfs", "-o", `size=${diskMiB}m`, "tmpfs", directory]
  try {
    if (process.getuid?.() === 0) await outputOf(command[0]!, command.slice(1))
    else await outputOf("sudo", ["-n", ...command])
  } catch (cause) {
    throw new Error("this test fills a small disk, and needs to be root to mount one", { cause })
  }
}

const unmount = (directory: string): Promise<Buffer> =>
  process.getuid?.() === 0 ? outputOf("umount", [directory]) : outputOf("sudo", ["-n", "umount", directory])

describe(`a disk of ${diskMiB} MiB that fills up`, () => {
  const disk = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-disk-"))
  const ballast = path.join(disk, "ballast")
  /** What was acknowledged on either side. */
  const puback: Array<string> = []
  const produced: Array<string> = []
  let server: ServerProcess
  let device: mqtt.MqttClient
  let isMounted = false

  /** The reason code of the PUBACK. */
  const publish = async (value: string): Promise<number> => {
    const options = { qos: 1, properties: { userProperties: { value } } } as const
    const { promise, resolve } = Promise.withResolvers<number>()
    device.publish("m/x", payload, options, (error, packet) => {
      const { reasonCode = 0 } = (packet ?? {}) as IPublishPacket & { reasonCode?: number }
      resolve(error && "code" in error && typeof error.code === "number" ? error.code : reasonCode)
    })
    return promise
  }

  /** Kafka's error code, 0 for none. */
  const produce = async (value: string): Promise<number> => {
    const kafka = kafkajsOf(server.kafka)
    const producer = kafka.producer({ retry: { retries: 0 } })
    await producer.connect()
    try {
      await producer.send({ topic: "free", messages: [{ key: value, value: payload }] })
      produced.push(value)
      return 0
    } catch (error) {
      const { code, cause } = error as { code?: number; cause?: { code?: number } }
      const known = code ?? cause?.code
      if (typeof known !== "number") throw error
      return known
    } finally {
      await producer.disconnect()
    }
  }

  const expectNothingLost = async (): Promise<void> => {
    const bound = (await kcatRead(server.kafka, "bound")).map(({ headers }) => new Map(headers).get("value"))
    const free = (await kcatRead(server.kafka, "free")).map(({ key }) => key!.toString("utf8"))
    expect(puback.filter((value) => !bound.includes(value))).toEqual([])
    expect(produced.filter((value) => !free.includes(value))).toEqual([])
    expect(new Set(bound).size).toBe(bound.length)
  }

  const connect = async (): Promise<void> => {
    device = await mqtt.connectAsync(server.mqttUrl, { clientId: "device", protocolVersion: 5, reconnectPeriod: 0 })
    // A refusal is the callback's; without a listener it would end the process as well.
    device.on("error", () => undefined)
  }

  beforeAll(async () => {
    await mount(disk)
    isMounted = true
    server = await ServerProcess.start({
      dataDir: path.join(disk, "data"),
      // Settled segments would give the space back as fast as this load takes it.
      env: {
        LOGBROOK_LIMITS_DISK_RESERVE_RATIO_MIN: "0.2",
        LOGBROOK_JOURNAL_SEGMENT_BYTES: "8MB",
        LOGBROOK_JOURNAL_SETTLE: "false"
      }
    })
    await server.createStream("bound", { filters: ["m/#"], partitions: 1 })
    await server.createStream("free", { partitions: 1 })
    await connect()
    await outputOf("fallocate", ["-l", `${ballastMiB}M`, ballast])
  })
  afterAll(async () => {
    device?.end(true)
    await server?.dispose()
    if (isMounted) await unmount(disk)
    fs.rmSync(disk, { recursive: true, force: true })
  })

  it("refuses writes on both sides with the protocol's reason, before the disk is full", async () => {
    let refusal = 0
    for (let n = 0; refusal === 0; n++) {
      expect(n, "the disk never counted as full").toBeLessThan(diskMiB * 64)
      const values = Array.from({ length: 20 }, (_, i) => `mqtt-${n}-${i}`)
      const reasons = await Promise.all(values.map(publish))
      values.forEach((value, i) => reasons[i] === 0 && puback.push(value))
      refusal = reasons.find((reason) => reason !== 0) ?? 0
      if (n % 20 === 0) await produce(`kafka-${n}`)
    }
    expect(refusal).toBe(quotaExceeded)
    const code = await produce("refused")
    // KAFKA_STORAGE_ERROR, which clients retry.
    expect(code).toBe(56)
    const { bavail, bsize } = fs.statfsSync(disk)
    expect(bavail * bsize).toBeGreaterThan(diskMiB * 1024 * 1024 * 0.05)
  })

  it("goes on reading, keeps the connection, says why it is not ready, and has lost nothing", async () => {
    expect(puback.length).toBeGreaterThan(100)
    await expectNothingLost()
    expect(device.connected).toBe(true)
    const ready = await fetch(`${server.url}/readyz`)
    expect(ready.status).toBe(503)
    expect(await ready.text()).toMatch(/disk/i)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  })

  it("takes writes again when there is space", async () => {
    fs.rmSync(ballast)
    await waitUntil("the server is ready again", 5000, async () => (await fetch(`${server.url}/readyz`)).ok)
    expect(await publish("after")).toBe(0)
    puback.push("after")
    expect(await produce("after")).toBe(0)
    await expectNothingLost()
  })

  it("starts again from the directory, with all of it", async () => {
    device.end(true)
    expect(await server.stop()).toBe(0)
    await server.start()
    await expectNothingLost()
  })
})

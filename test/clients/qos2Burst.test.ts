import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import mqtt from "mqtt"
import { kcatRead } from "../support/kcat.ts"
import { outputOf } from "../support/runCommand.ts"
import { freePorts } from "../support/freePorts.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

const count = 1000
const cache = path.join(import.meta.dirname, ".cache")
const python = path.join(cache, "python/mqtt/bin/python")
const source = (file: string): string => path.join(import.meta.dirname, "burst", file)
const java = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path.join(cache, "burst/java/*")]

interface Client {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly versions: ReadonlyArray<4 | 5>
}

const both = [4, 5] as const

/** Each is called with port, version, topic and count, and says how many messages are done on how many connections. */
const clients: ReadonlyArray<Client> = [
  { name: "paho-mqtt", command: python, args: ["-B", source("with_paho.py")], versions: both },
  { name: "aiomqtt", command: python, args: ["-B", source("with_aiomqtt.py")], versions: both },
  { name: "gmqtt", command: python, args: ["-B", source("with_gmqtt.py")], versions: both },
  { name: "autopaho", command: path.join(cache, "burst/autopaho"), args: [], versions: [5] },
  { name: "rumqttc", command: path.join(cache, "burst/rumqttc"), args: [], versions: both },
  { name: "hivemq-mqtt-client", command: "java", args: [...java, source("java/Burst.java")], versions: both }
]

describe(`a burst of ${count} messages of QoS 2`, () => {
  let server: ServerProcess

  beforeAll(async () => {
    server = await ServerProcess.start()
  })
  afterAll(() => server?.dispose())

  /** Each message once, whatever their order, and nobody was cut off. */
  const expectAll = async (stream: string): Promise<void> => {
    const values = (await kcatRead(server.kafka, stream)).map(({ value }) => Number(value))
    expect(values.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i))
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/^logbrook_mqtt_refused_total 0$/m)
  }

  const cases = clients.flatMap((client) => client.versions.map((version) => ({ ...client, version })))
  it.each(cases)("by $name, MQTT $version", async ({ name, command, args, version }) => {
    const stream = `${name}-${version}`
    await server.createStream(stream, { filters: [`burst/${stream}`], partitions: 1 })
    const own = [server.ports.mqtt, version, `burst/${stream}`, count].map(String)
    const said = (await outputOf(command, [...args, ...own], { timeoutMs: 120_000 })).toString("utf8").trim()
    expect(said).toBe(`${count} done on 1 connections`)
    await expectAll(stream)
  })

  it.each(both)("by mqtt.js, MQTT %i", async (protocolVersion) => {
    const stream = `mqttjs-${protocolVersion}`
    await server.createStream(stream, { filters: [`burst/${stream}`], partitions: 1 })
    const client = await mqtt.connectAsync(server.mqttUrl, { protocolVersion, clientId: stream })
    let closed = 0
    client.on("close", () => closed++)
    const all = Array.from({ length: count }, (_, i) => client.publishAsync(`burst/${stream}`, String(i), { qos: 2 }))
    await Promise.all(all)
    expect(closed).toBe(0)
    await client.endAsync()
    await expectAll(stream)
  })

  it.each(["mqttv311", "mqttv50"])("by mosquitto as a bridge that was cut off, %s", async (version) => {
    const stream = `bridge-${version}`
    await server.createStream(stream, { filters: [`${version}/#`], partitions: 1 })
    const bridge = await Bridge.start(version, server.ports.mqtt)
    try {
      await server.stop()
      const input = Array.from({ length: count }, (_, i) => `${i}\n`).join("")
      const to = ["-h", "127.0.0.1", "-p", String(bridge.port), "-q", "2", "-t", `${version}/a`, "-l"]
      await outputOf("mosquitto_pub", to, { input })
      await server.start()
      await waitUntil("all of the bridge's messages", 60_000, async () => {
        return (await kcatRead(server.kafka, stream)).length >= count
      })
      await expectAll(stream)
    } finally {
      await bridge.end()
    }
  })
})

class Bridge {
  readonly port: number
  readonly #directory: string
  readonly #child: ChildProcess

  private constructor(port: number, directory: string) {
    this.port = port
    this.#directory = directory
    const binary = fs.existsSync("/usr/sbin/mosquitto") ? "/usr/sbin/mosquitto" : "mosquitto"
    this.#child = spawn(binary, ["-c", path.join(directory, "conf")], { stdio: "ignore" })
  }

  static async start(version: string, port: number): Promise<Bridge> {
    const [own] = (await freePorts(1)) as [number]
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-bridge-"))
    const lines = [
      `listener ${own} 127.0.0.1`,
      "allow_anonymous true",
      "max_queued_messages 100000",
      "max_inflight_messages 500",
      "connection up",
      `address 127.0.0.1:${port}`,
      `bridge_protocol_version ${version}`,
      "cleansession false",
      "restart_timeout 1",
      "notifications false",
      `topic ${version}/# out 2`
    ]
    fs.writeFileSync(path.join(directory, "conf"), `${lines.join("\n")}\n`)
    const bridge = new Bridge(own, directory)
    await waitUntil("mosquitto", 10_000, async () => {
      try {
        await outputOf("mosquitto_pub", ["-h", "127.0.0.1", "-p", String(own), "-t", "up", "-m", "x"])
        return true
      } catch {
        return false
      }
    })
    return bridge
  }

  async end(): Promise<void> {
    const exited = once(this.#child, "exit")
    this.#child.kill()
    await exited
    fs.rmSync(this.#directory, { recursive: true })
  }
}

import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Admin as PlatformaticAdmin } from "@platformatic/kafka"
import { Kafka, logLevel } from "kafkajs"
import mqtt from "mqtt"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePorts } from "../support/freePorts.ts"
import { consoleConsumer, kafkaTool } from "../support/java.ts"
import { pythonSource } from "../support/python.ts"
import { outputOf, runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"

// Real clients over TLS with client certificates, beside listeners in plain text.

const protocols = ["mqtt", "mqttWs", "kafka", "http"] as const

let directory: string
let server: ServerProcess
let ports: Readonly<Record<(typeof protocols)[number], number>>
const file = (name: string): string => path.join(directory, name)
const pem = (name: string): Buffer => fs.readFileSync(file(name))
const forNode = () => ({ ca: pem("ca.pem"), cert: pem("alice.pem"), key: pem("alice-key.pem") })

const made = async (...args: ReadonlyArray<string>): Promise<void> => {
  const bin = path.join(import.meta.dirname, "../../packages/server/bundle/bin.js")
  await outputOf(process.execPath, [bin, "tls", "dev", ...args])
}

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-tls-"))
  await made("--dir", directory, "--client", "alice")
  await made("--dir", path.join(directory, "other"), "--client", "mallory")
  fs.writeFileSync(file("both.pem"), Buffer.concat([pem("alice-key.pem"), pem("alice.pem")]))
  const free = await freePorts(protocols.length)
  ports = Object.fromEntries(protocols.map((name, at) => [name, free[at]!])) as typeof ports
  const quoted = (name: string): string => JSON.stringify(file(name))
  fs.writeFileSync(
    file("logbrook.yaml"),
    `tls: { cert: ${quoted("server.pem")}, key: ${quoted("server-key.pem")}, clientCa: ${quoted("ca.pem")}, ` +
      "clientCertificates: required }\nlisteners:\n" +
      protocols.map((name) => `  ${name}-tls: { protocol: ${name}, port: ${ports[name]}, tls: true }\n`).join("")
  )
  server = await ServerProcess.start({ env: { LOGBROOK_CONFIG: file("logbrook.yaml") } })
  await server.createStream("free", { partitions: 1 })
})
afterAll(async () => {
  await server?.dispose()
  fs.rmSync(directory, { recursive: true, force: true })
})

/** The origins of the events of an actor, as the journal tells them. */
const origins = async (actor: string): Promise<ReadonlyArray<string>> => {
  const query = new URLSearchParams({ actor, last: "100" })
  const { data } = await server.get<{ data: ReadonlyArray<{ cause: { origin?: string } }> }>(`/journal/events?${query}`)
  return data.flatMap(({ cause }) => cause.origin ?? [])
}

const pub = (...args: ReadonlyArray<string>) =>
  runCommand("mosquitto_pub", ["-h", "localhost", "-p", String(ports.mqtt), "-q", "1", "-t", "m/1", "-m", "a", ...args])

const brokers = (): string => `localhost:${ports.kafka}`

describe("MQTT over TLS", () => {
  it("mosquitto_pub and _sub", async () => {
    const certificate = ["--cafile", file("ca.pem"), "--cert", file("alice.pem"), "--key", file("alice-key.pem")]
    expect(await pub("-r", "-i", "mosquitto", ...certificate)).toMatchObject({ code: 0, stderr: "" })
    const at = ["-h", "localhost", "-p", String(ports.mqtt), "-C", "1", "-W", "30", "-t", "m/#"]
    expect((await outputOf("mosquitto_sub", [...at, ...certificate])).toString()).toBe("a\n")
    expect(await origins("session/mosquitto")).toContain("mqtt mosquitto by alice@127.0.0.1 CONNECT")
  })

  it("mosquitto_pub without a certificate, with one of another authority, and in plain text is refused", async () => {
    const ca = ["--cafile", file("ca.pem")]
    expect((await pub(...ca)).code).not.toBe(0)
    const stranger = ["--cert", file("other/mallory.pem"), "--key", file("other/mallory-key.pem")]
    expect((await pub(...ca, ...stranger)).code).not.toBe(0)
    expect((await pub()).code).not.toBe(0)
    expect(server.log()).toContain("TLS: ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE")
    expect(server.log()).toContain("plain text came instead of a TLS handshake")
  })

  it.each([
    ["mqtts", "mqtt", ""],
    ["wss", "mqttWs", "/mqtt"]
  ] as const)("mqtt.js by %s", async (scheme, listener, end) => {
    const client = await mqtt.connectAsync(`${scheme}://localhost:${ports[listener]}${end}`, {
      ...forNode(),
      clientId: `js-${scheme}`,
      protocolVersion: 5
    })
    const came = new Promise<string>((resolve) => void client.once("message", (_, payload) => resolve(String(payload))))
    await client.subscribeAsync("js/#", { qos: 1 })
    await client.publishAsync("js/1", "x".repeat(300_000), { qos: 1 })
    expect(await came).toHaveLength(300_000)
    await client.endAsync()
    expect(await origins(`session/js-${scheme}`)).toContain(`mqtt js-${scheme} by alice@127.0.0.1 CONNECT`)
  })

  it.each([
    ["tcp", "mqtt"],
    ["websockets", "mqttWs"]
  ] as const)("paho by %s", async (transport, listener) => {
    const { command } = pythonSource({ packages: "mqtt", program: "" }, [])
    const program = path.join(import.meta.dirname, "python/paho_tls.py")
    const certificate = [file("ca.pem"), file("alice.pem"), file("alice-key.pem")]
    const args = ["-B", program, String(ports[listener]), ...certificate, transport, `paho/${transport}`, "21.5"]
    expect((await outputOf(command, args)).toString()).toBe(`paho/${transport} 21.5\n`)
  })
})

describe("Kafka over SSL", () => {
  it("Java's console producer and consumer, with PEM", async () => {
    const config =
      "security.protocol=SSL\nssl.truststore.type=PEM\nssl.keystore.type=PEM\n" +
      `ssl.truststore.location=${file("ca.pem")}\nssl.keystore.location=${file("both.pem")}\n`
    fs.writeFileSync(file("java.properties"), config)
    const at = ["--bootstrap-server", brokers(), "--topic", "free"]
    const properties = ["--command-config", file("java.properties")]
    const creating = ["--bootstrap-server", brokers(), "--create", "--topic", "java", "--partitions", "1"]
    const topics = await kafkaTool("org.apache.kafka.tools.TopicCommand", [...creating, ...properties])
    expect(topics).toMatchObject({ code: 0 })
    expect(await origins("catalog/0")).toContainEqual(
      expect.stringMatching(/^kafka \S+ by alice@127\.0\.0\.1:\d+ CreateTopics#\d+$/)
    )
    await server.cli("produce", "free", "from plain text", "--kafka", server.kafka)
    const reading = ["--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"]
    const read = await kafkaTool(consoleConsumer, [...at, ...reading, ...properties])
    expect({ ...read, stdout: read.stdout.toString() }).toMatchObject({ code: 0, stdout: "from plain text\n" })
  })

  it("librdkafka (kcat), which is told the TLS port", async () => {
    const settings = {
      "security.protocol": "SSL",
      "ssl.ca.location": file("ca.pem"),
      "ssl.certificate.location": file("alice.pem"),
      "ssl.key.location": file("alice-key.pem")
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ["-X", `${name}=${value}`])
    const list = JSON.parse((await outputOf("kcat", ["-L", "-J", "-b", brokers(), ...options])).toString()) as {
      readonly brokers: ReadonlyArray<{ readonly name: string }>
    }
    expect(list.brokers.map(({ name }) => name)).toEqual([`127.0.0.1:${ports.kafka}`])
    await server.createStream("kcat", { partitions: 1 })
    await outputOf("kcat", ["-P", "-b", brokers(), "-t", "kcat", ...options], { input: "one\ntwo\n" })
    const read = await outputOf("kcat", ["-C", "-e", "-q", "-b", brokers(), "-t", "kcat", ...options])
    expect(read.toString()).toBe("one\ntwo\n")
  })

  it("kafkajs", async () => {
    const kafka = new Kafka({ brokers: [brokers()], ssl: { ...forNode() }, logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: "kafkajs", numPartitions: 1 }] })
    const producer = kafka.producer()
    await producer.connect()
    const messages = [{ value: "x".repeat(500_000) }, { value: "two" }]
    await producer.send({ topic: "kafkajs", messages })
    const consumer = kafka.consumer({ groupId: "g" })
    await consumer.connect()
    await consumer.subscribe({ topic: "kafkajs", fromBeginning: true })
    const lengths: Array<number> = []
    await consumer.run({ eachMessage: async ({ message }) => void lengths.push(message.value!.length) })
    await expect.poll(() => lengths, { timeout: 60_000 }).toEqual([500_000, 3])
    await Promise.all([consumer.disconnect(), producer.disconnect(), admin.disconnect()])
  })

  it("@platformatic/kafka", async () => {
    const admin = new PlatformaticAdmin({ clientId: "p", bootstrapBrokers: [brokers()], tls: forNode() })
    expect(await admin.listTopics()).toContain("free")
    await admin.close()
  })
})

describe("HTTPS", () => {
  it("curl, with a certificate and without", async () => {
    const at = ["-sS", "--cacert", file("ca.pem"), `https://localhost:${ports.http}/api/v1/streams`]
    const alice = ["--cert", file("alice.pem"), "--key", file("alice-key.pem")]
    expect((await outputOf("curl", [...at, ...alice])).toString()).toContain('"name":"free"')
    const body = ["-X", "POST", "-H", "content-type: application/json", "-d", '{"name":"by-curl","partitions":1}']
    await outputOf("curl", [...at, ...alice, ...body])
    expect(await origins("catalog/0")).toContainEqual(expect.stringMatching(/^http .* by alice@127\.0\.0\.1$/))
    expect((await runCommand("curl", at)).code).not.toBe(0)
  })
})

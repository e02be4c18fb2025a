import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { defaultLimits } from "@logbrook/core/Limits"
import type { ConfigProblem } from "../../src/config/Config.ts"
import { loadConfig, type ConfigSources, type LoadedConfig } from "../../src/config/loadConfig.ts"
import { settings } from "../../src/config/settings.ts"
import { suggest } from "../../src/config/suggest.ts"

interface Given {
  readonly flags?: Readonly<Record<string, unknown>>
  readonly env?: ConfigSources["env"]
  readonly yaml?: string
}

const sources = ({ flags = {}, env = {}, yaml = "" }: Given): ConfigSources => ({
  flags: new Map(Object.entries(flags)),
  env,
  files: [{ name: "logbrook.yaml", text: yaml }]
})

const loadedOf = (given: ConfigSources): LoadedConfig => Either.getOrThrow(loadConfig(given))

const problemsOf = (given: Given): ReadonlyArray<ConfigProblem> => {
  const loaded = loadConfig(sources(given))
  return Either.isLeft(loaded) ? loaded.left.problems : []
}

const advertised = (text: string) => loadedOf(sources({ flags: { "kafka-advertised": text } })).config.kafka.advertised

const zstdClients = (text: string) =>
  loadedOf(sources({ flags: { "kafka-zstd-clients": text } })).config.kafka.zstdClients

describe("loadConfig", () => {
  it("needs nothing", () => {
    const { config } = loadedOf({ flags: new Map(), env: { PATH: "/bin" }, files: [] })
    expect(config).toMatchObject({
      dataDir: "./data",
      host: "127.0.0.1",
      mqtt: { port: 1883 },
      kafka: { advertised: null }
    })
    expect(config.limits).toEqual(defaultLimits)
  })

  it("gives clients three fifths of V8's heap, unless somebody says how much", () => {
    const heapBytesMax = 216 * 1024 * 1024
    const loaded = loadedOf({ ...sources({}), heapBytesMax })
    expect(loaded.config.limits.memoryBytesMax).toBe(Math.floor(heapBytesMax * 0.6))
    expect(loaded.settings.find(({ path }) => path === "limits.memoryBytesMax")!.origin).toBe("V8's heap limit")
    const yaml = "limits:\n  memoryBytesMax: 50MB\n"
    expect(loadedOf({ ...sources({ yaml }), heapBytesMax }).config.limits.memoryBytesMax).toBe(50_000_000)
  })

  it("takes what MQTT offers, and nothing that a client could not be told", () => {
    const yaml =
      "mqtt: { maximumQos: 1, retainAvailable: false, keepAliveSMax: 300, sysIntervalS: 0, responsePrefix: a/b, " +
      "serverReference: 'one:1883 two:1883', redirect: permanently }"
    expect(loadedOf(sources({ yaml })).config.mqtt).toEqual({
      port: 1883,
      proxyProtocol: false,
      tls: false,
      keepAliveSMax: 300,
      maximumQos: 1,
      retainAvailable: false,
      responsePrefix: "a/b",
      serverReference: "one:1883 two:1883",
      redirect: "permanently",
      sysIntervalS: 0
    })
    const wrong = {
      keepAliveSMax: ["-1", "65536", "1m"],
      maximumQos: ["3"],
      responsePrefix: ["$a", "a/+", "#", "a/", "", "a\u0000b", "x".repeat(201)],
      serverReference: ["", " a", "a\nb", "é"],
      redirect: ["yes"],
      sysIntervalS: ["86401"]
    }
    for (const [name, values] of Object.entries(wrong)) {
      for (const value of values) {
        const problems = problemsOf({ yaml: `mqtt: { ${name}: ${JSON.stringify(value)} }` })
        expect(
          problems.map(({ path }) => path),
          value
        ).toEqual([`mqtt.${name}`])
      }
    }
  })

  it("takes names of software with commas between them", () => {
    expect(zstdClients("kgo, confluent-kafka-python,none")).toBe("kgo,confluent-kafka-python,none")
    for (const text of ["", "kgo,", "two words", "a;b"]) {
      expect(problemsOf({ flags: { "kafka-zstd-clients": text } })).toMatchObject([{ path: "kafka.zstdClients" }])
    }
  })

  it("takes no more default partitions than a stream may have", () => {
    const flags = { "kafka-default-partitions": "65" }
    expect(problemsOf({ flags })).toMatchObject([{ path: "kafka.defaultPartitions" }])
    const { kafka } = loadedOf(sources({ flags, yaml: "limits:\n  partitionsPerStreamMax: 65\n" })).config
    expect([kafka.defaultPartitions, kafka.autoCreateTopics]).toEqual([65, false])
    const creating = loadedOf(sources({ flags: { "kafka-auto-create-topics": "true" } }))
    expect(creating.config.kafka.autoCreateTopics).toBe(true)
  })

  it("lets flags win over variables, variables over the file, and knows each origin", () => {
    const given = {
      flags: { "mqtt-port": "1" },
      env: {
        LOGBROOK_MQTT_PORT: "2",
        LOGBROOK_KAFKA_PORT: "3",
        LOGBROOK_URL: "http://elsewhere",
        LOGBROOK_HTTP_PORT: ""
      },
      yaml: "mqtt:\n  port: 4\nkafka:\n  port: 5\nhttp:\n  port: 6\n"
    }
    const loaded = loadedOf(sources(given))
    expect(loaded.config).toMatchObject({
      mqtt: { port: 1 },
      kafka: { port: 3 },
      http: { port: 6 },
      mqttWs: { port: 8083 }
    })
    const origins = new Map(loaded.settings.map(({ path, origin }) => [path, origin]))
    expect(["mqtt.port", "kafka.port", "http.port", "mqttWs.port"].map((path) => origins.get(path))).toEqual([
      "--mqtt-port",
      "LOGBROOK_KAFKA_PORT",
      "logbrook.yaml:6",
      "default"
    ])
  })

  it("takes durations and sizes with units, and keeps the limits that go by another name in step", () => {
    const { config } = loadedOf(
      sources({
        env: { LOGBROOK_JOURNAL_SEGMENT_BYTES: "1.5MiB", LOGBROOK_LIMITS_SESSION_EXPIRY_MS_MAX: "2d" },
        yaml: "journal: { pacingMs: 7 }\nlimits: { mqttPacketBytesMax: 64KiB, diskReserveRatioMin: 0.1 }"
      })
    )
    expect(config.journal).toMatchObject({ segmentBytes: 1_572_864, pacingMs: 7, settle: true, historyMs: 604_800_000 })
    expect(config.limits).toMatchObject({
      sessionExpiryMsMax: 172_800_000,
      mqttPacketBytesMax: 65_536,
      diskReserveRatioMin: 0.1,
      segmentBytesMax: 1_572_864,
      commitPacingMs: 7
    })
  })

  it("passes over what Kubernetes says of a service named logbrook, and nothing more", () => {
    const links = {
      LOGBROOK_SERVICE_HOST: "10.0.0.1",
      LOGBROOK_SERVICE_PORT_MQTT: "1883",
      LOGBROOK_PORT: "tcp://10.0.0.1:1883",
      LOGBROOK_PORT_1883_TCP_ADDR: "10.0.0.1"
    }
    expect(problemsOf({ env: links })).toEqual([])
    const own = { LOGBROOK_PORT: "1883", LOGBROOK_SERVICE: "1" }
    expect(problemsOf({ env: own }).map(({ origin }) => origin)).toEqual(Object.keys(own))
  })

  it("tells everything that is wrong at once, with path, origin and what was meant", () => {
    const problems = problemsOf({
      flags: { "mqtt-port": "70000" },
      env: { LOGBROOK_KAFKA_PROT: "1", LOGBROOK_JOURNAL_PACING_MS: "5 parsecs" },
      yaml: "limits:\n  sessionMax: 5\nhttp: 80\nfoo:\n  bar: 1\nhost: 0.0.0.0\n__proto__:\n  a: 1\n"
    })
    expect(problems.map(({ path, origin, didYouMean }) => [path, origin, didYouMean])).toEqual(
      expect.arrayContaining([
        ["mqtt.port", "--mqtt-port", undefined],
        ["", "LOGBROOK_KAFKA_PROT", "LOGBROOK_KAFKA_PORT"],
        ["journal.pacingMs", "LOGBROOK_JOURNAL_PACING_MS", undefined],
        ["limits.sessionMax", "logbrook.yaml:2", "limits.sessionsMax"],
        ["http", "logbrook.yaml:3", undefined],
        ["foo", "logbrook.yaml:5", undefined],
        ["host", "logbrook.yaml:6", undefined],
        ["__proto__", "logbrook.yaml:8", undefined]
      ])
    )
    expect(problems).toHaveLength(8)
  })

  it.each([
    ["a: [1", "a file that is no YAML"],
    ["- 1", "a file that is a list"],
    ["mqtt: &a\n  port: *a", "an alias"],
    ["mqtt:\n  port: 1\n  port: 2", "a name given twice"]
  ])("refuses %j: %s", (yaml) => {
    expect(problemsOf({ yaml }).length).toBeGreaterThan(0)
  })

  it("refuses an address that others reach, unless that is accepted", () => {
    expect(problemsOf({ flags: { host: "::" } })).toMatchObject([{ path: "host", origin: "--host" }])
    expect(problemsOf({ flags: { host: "::", "insecure-listen": true } })).toEqual([])
    expect(problemsOf({ flags: { host: "127.1.2.3" } })).toEqual([])
    expect(problemsOf({ flags: { host: "127.0.0.1.example.org" } })).toHaveLength(1)
  })

  it("refuses one port for two protocols, but not two of any", () => {
    expect(problemsOf({ flags: { "mqtt-port": "9092" } })).toMatchObject([{ path: "kafka.port" }])
    expect(problemsOf({ flags: { "mqtt-port": "0", "kafka-port": "0" } })).toEqual([])
  })

  it("takes listeners by their names, each with the settings of its protocol, and tells where they come from", () => {
    const yaml = `
kafka: { port: none }
listeners:
  inside: { protocol: mqtt, port: 1884, connectionsMax: 5 }
  local:
    protocol: kafka
    path: /run/kafka.sock
    mode: 0600
    advertised: a.example.org:9092
`
    const { config, settings } = loadedOf(sources({ yaml }))
    expect(config.kafka.port).toBeNull()
    expect(config.listeners).toEqual([
      {
        name: "inside",
        protocol: "mqtt",
        port: 1884,
        host: null,
        path: null,
        mode: "660",
        proxyProtocol: false,
        tls: false,
        tlsCert: null,
        tlsKey: null,
        tlsClientCa: null,
        tlsClientCertificates: null,
        tlsPrincipal: null,
        connectionsMax: 5,
        connectionsPerAddressMax: null,
        newConnectionsPerSecondMax: null,
        mountPoint: null,
        origins: "local",
        advertised: null
      },
      expect.objectContaining({
        name: "local",
        path: "/run/kafka.sock",
        mode: "600",
        advertised: { host: "a.example.org", port: 9092 }
      })
    ])
    const own = settings.filter(({ path }) => path.startsWith("listeners."))
    expect(own.find(({ path }) => path === "listeners.inside.connectionsMax")).toEqual({
      path: "listeners.inside.connectionsMax",
      value: 5,
      origin: "logbrook.yaml:4"
    })
    expect(own.find(({ path }) => path === "listeners.local.connectionsMax")).toMatchObject({ origin: "default" })
    expect(own.some(({ path }) => path === "listeners.inside.advertised")).toBe(false)
  })

  it.each([
    ["660", "660"],
    ["0660", "660"],
    ["0o660", "660"],
    ["0o600", "600"],
    ["606", "606"],
    ["'0o666'", "666"]
  ])("takes the mode of a Unix socket in octal digits, written as %s", (written, mode) => {
    const yaml = `listeners: { a: { protocol: mqtt, path: /a, mode: ${written} } }\n`
    expect(loadedOf(sources({ yaml })).config.listeners[0]!.mode).toBe(mode)
  })

  it.each([
    ["5", "listeners", "section"],
    ["{ a: 5 }", "listeners.a", "section"],
    ["{ a: {} }", "listeners.a.protocol", "missing"],
    ["{ a: { protocol: smtp, port: 1 } }", "listeners.a.protocol", "smtp"],
    ["{ a: { protocol: mqtt } }", "listeners.a.port", "either"],
    ["{ a: { protocol: mqtt, port: 1, path: /a } }", "listeners.a.port", "either"],
    ["{ a: { protocol: mqtt, port: 70000 } }", "listeners.a.port", "70000"],
    ["{ a: { protocol: mqtt, path: /a, host: 127.0.0.1 } }", "listeners.a.host", "Unix"],
    ["{ a: { protocol: mqtt, port: 1, mode: 660 } }", "listeners.a.mode", "Unix"],
    ["{ a: { protocol: mqtt, path: /a, mode: 999 } }", "listeners.a.mode", "999"],
    ["{ a: { protocol: mqtt, path: /a, mode: 432.0 } }", "listeners.a.mode", "432.0"],
    ["{ a: { protocol: mqtt, path: /a, mode: 0x1b0 } }", "listeners.a.mode", "0x1b0"],
    ["{ a: { protocol: mqtt, path: /a, mode: 0o1660 } }", "listeners.a.mode", "octal digits"],
    [`{ a: { protocol: mqtt, path: ${"x".repeat(101)} } }`, "listeners.a.path", "100"],
    ["{ a: { protocol: mqtt, port: 1, advertised: 'a:1' } }", "listeners.a.advertised", "kafka"],
    ["{ a: { protocol: mqtt, port: 1, mountPoint: a } }", "listeners.a.mountPoint", "ends with /"],
    ["{ a: { protocol: mqtt, port: 1, mountPoint: $a/ } }", "listeners.a.mountPoint", "no $"],
    ["{ a: { protocol: mqtt, port: 1, mountPoint: +/ } }", "listeners.a.mountPoint", "no wildcards"],
    [`{ a: { protocol: mqtt, port: 1, mountPoint: ${"a/".repeat(32)} } }`, "listeners.a.mountPoint", "topicLevelsMax"],
    ["{ a: { protocol: kafka, port: 1, mountPoint: a/ } }", "listeners.a.mountPoint", "mqttWs only"],
    ["{ a: { protocol: kafka, path: /a } }", "listeners.a.advertised", "told"],
    ["{ a: { protocol: mqtt, port: 1, conectionsMax: 1 } }", "listeners.a.conectionsMax", "no such"],
    ["{ mqtt: { protocol: mqtt, port: 1 } }", "listeners.mqtt", "name"],
    ["{ 'a.b': { protocol: mqtt, port: 1 } }", "listeners.a.b", "name"],
    ["{ a: { protocol: mqtt, port: 1, host: 0.0.0.0 } }", "listeners.a.host", "reached"],
    ["{ a: { protocol: mqtt, port: 9092 } }", "listeners.a.port", "kafka.port is 9092"],
    ["{ a: { protocol: mqtt, path: /a }, b: { protocol: http, path: /a } }", "listeners.b.path", "too"]
  ])("tells what is wrong with listeners: %s", (yaml, path, text) => {
    const problems = problemsOf({ yaml: `listeners: ${yaml}` })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatchObject({ path, origin: "logbrook.yaml:1" })
    expect(problems[0]!.message).toContain(text)
  })

  it("takes one port of two addresses, and none of a protocol that is not to be there", () => {
    const yaml = "listeners: { a: { protocol: mqtt, port: 9092, host: 127.0.0.2 } }\n"
    expect(problemsOf({ yaml })).toEqual([])
    expect(problemsOf({ yaml: "kafka: { port: none }\nlisteners: { a: { protocol: mqtt, port: 9092 } }\n" })).toEqual(
      []
    )
  })

  it("reads an advertised address", () => {
    expect(advertised("broker.example.org:9092")).toEqual({ host: "broker.example.org", port: 9092 })
    expect(advertised("[::1]:1")).toEqual({ host: "::1", port: 1 })
    for (const text of ["broker", "broker:0", "broker:70000", "http://broker:1", ""]) {
      expect(problemsOf({ flags: { "kafka-advertised": text } })).toHaveLength(1)
    }
  })
})

describe("settings", () => {
  it("have names of their own in every source, and defaults that they take", () => {
    for (const name of ["path", "env"] as const) {
      expect(new Set(settings.map((setting) => setting[name])).size).toBe(settings.length)
    }
    for (const { path, byDefault, parse } of settings) expect([path, parse(byDefault)]).toEqual([path, byDefault])
  })

  it("cover every limit, some under another name", () => {
    const paths = new Set(settings.map(({ path }) => path))
    const elsewhere = new Set(["segmentBytesMax", "commitPacingMs"])
    for (const name of Object.keys(defaultLimits)) {
      expect(paths.has(`limits.${name}`)).toBe(!elsewhere.has(name))
    }
  })
})

describe("suggest", () => {
  it("names the nearest, and nothing that is far", () => {
    expect(suggest("mqtt-prot", ["mqtt-port", "http-port"])).toBe("mqtt-port")
    expect(suggest("xyzzy", ["mqtt-port", "http-port"])).toBeUndefined()
    expect(suggest("m".repeat(10_000), ["mqtt-port"])).toBeUndefined()
  })
})

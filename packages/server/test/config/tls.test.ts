import * as Either from "effect/Either"
import { describe, expect, it } from "vitest"
import { loadConfig } from "../../src/config/loadConfig.ts"
import { tlsOf } from "../../src/listenersOf.ts"

const load = (yaml: string) => loadConfig({ flags: new Map(), env: {}, files: [{ name: "a.yaml", text: yaml }] })

/** What is wrong: the setting, and the words. */
const problemsOf = (yaml: string): ReadonlyArray<readonly [string, string]> => {
  const loaded = load(yaml)
  return Either.isRight(loaded) ? [] : loaded.left.problems.map(({ path, message }) => [path, message])
}

const shared = "tls: { cert: c.pem, key: k.pem }\n"

describe("the configuration of TLS", () => {
  it("is that of the section tls for every listener that has it, and its own where it says so", () => {
    const yaml =
      "tls: { cert: c.pem, key: k.pem, clientCa: ca.pem, clientCertificates: optional, principal: dns }\n" +
      "mqtt: { tls: true }\nhttp: { tls: true }\nlisteners:\n" +
      "  plain: { protocol: mqtt, port: 0 }\n" +
      "  partners: { protocol: kafka, port: 0, tls: true, tlsClientCertificates: required, tlsPrincipal: uri }\n" +
      "  public: { protocol: mqttWs, port: 0, tls: true, tlsCert: c2.pem, tlsKey: k2.pem, tlsClientCertificates: 'off' }\n"
    const one = { cert: "c.pem", key: "k.pem", clientCa: "ca.pem", clientCertificates: "optional", principal: "dns" }
    expect(problemsOf(yaml)).toEqual([])
    expect(tlsOf(Either.getOrThrow(load(yaml)).config)).toEqual([
      one,
      { ...one, cert: "c2.pem", key: "k2.pem", clientCertificates: "off" },
      { ...one, clientCertificates: "required", principal: "uri" },
      one
    ])
  })

  it("is off without it", () => {
    expect(tlsOf(Either.getOrThrow(load("")).config)).toEqual([])
  })

  it.each([
    ["no certificate", "mqtt: { tls: true }", "mqtt.tls", /needs a certificate and its key/],
    ["no key", "tls: { cert: c.pem }\nkafka: { tls: true }", "kafka.tls", /needs a certificate and its key/],
    [
      "no authorities",
      "tls: { cert: c.pem, key: k.pem, clientCertificates: required }\nhttp: { tls: true }",
      "http.tls",
      /needs tls.clientCa: client certificates are required/
    ],
    ["a certificate that no listener has", shared, "tls.cert", /^no listener has TLS/],
    [
      "a certificate that no listener has, since it does not listen",
      `${shared}mqtt: { port: none, tls: true }`,
      "tls.cert",
      /^no listener has TLS/
    ],
    ["another word", "tls: { clientCertificates: maybe }", "tls.clientCertificates", /is not off, optional, required/],
    ["another rule", "tls: { principal: ou }", "tls.principal", /is not cn, dns, email, uri/],
    [
      "TLS on a Unix socket",
      `${shared}listeners: { a: { protocol: mqtt, path: /run/a, tls: true } }\nhttp: { tls: true }`,
      "listeners.a.tls",
      /a Unix socket has none/
    ],
    [
      "settings of TLS without TLS",
      "listeners: { a: { protocol: mqtt, port: 0, tlsPrincipal: cn } }",
      "listeners.a.tlsPrincipal",
      /is for a listener with tls: true/
    ],
    [
      "a certificate of its own with another's key",
      `${shared}listeners: { a: { protocol: mqtt, port: 0, tls: true, tlsCert: c2.pem } }`,
      "listeners.a.tlsCert",
      /go together/
    ]
  ])("is refused: %s", (_, yaml, path, words) => {
    expect(problemsOf(yaml)[0]).toEqual([path, expect.stringMatching(words)])
  })

  it("lets others reach a listener only if it has client certificates required, or somebody accepts that", () => {
    const all = "mqtt: { tls: true }\nmqttWs: { tls: true }\nkafka: { tls: true }\nhttp: { tls: true }\n"
    const required = "tls: { cert: c, key: k, clientCa: ca, clientCertificates: required }\nhost: 0.0.0.0\n"
    expect(problemsOf(required + all)).toEqual([])
    expect(problemsOf(required + all.replace("http: { tls: true }", ""))).toEqual([
      ["host", expect.stringContaining("can be reached")]
    ])
    const optional = required.replace("required", "optional")
    expect(problemsOf(optional + all)).toEqual([["host", expect.stringContaining("can be reached")]])
    expect(problemsOf(`${optional}${all}insecureListen: true\n`)).toEqual([])
  })
})

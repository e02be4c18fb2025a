import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { expect, it } from "vitest"
import { temporaryDirectory } from "../../packages/core/test/support/temporary.ts"
import { freePorts } from "../support/freePorts.ts"

// What docs/security.md says to do is done, as it stands there.

const root = path.join(import.meta.dirname, "../..")
const page = fs.readFileSync(path.join(root, "docs/security.md"), "utf8")
const bundle = process.env["LOGBROOK_TEST_BUNDLE"] ?? path.join(root, "packages/server/bundle/bin.js")

/** The block under a heading, without its fences. */
const blockUnder = (heading: string): string =>
  page.split(`\n## ${heading}\n`)[1]!.split("```sh\n")[1]!.split("```")[0]!

const ports = { MQTT: "1883", MQTT_WS: "8083", KAFKA: "9092", HTTP: "18083" } as const

/** Runs a script in bash, in a directory where `logbrook` is the product. */
const run = async (script: string) => {
  const directory = temporaryDirectory()
  fs.writeFileSync(path.join(directory, "logbrook"), `#!/bin/sh\nexec "${process.execPath}" "${bundle}" "$@"\n`, {
    mode: 0o755
  })
  const free = await freePorts(4)
  const env: Record<string, string> = { PATH: `${directory}:${process.env["PATH"] ?? ""}` }
  let text = script
  Object.entries(ports).forEach(([name, port], at) => {
    env[`LOGBROOK_${name}_PORT`] = String(free[at])
    text = text.replaceAll(new RegExp(`\\b${port}\\b`, "g"), String(free[at]))
  })
  const child = spawn("bash", ["-eu", "-c", `trap 'kill $! 2>/dev/null || true; wait || true' EXIT\n${text}`], {
    cwd: directory,
    env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  let [out, err] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")))
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString("utf8")))
  const [code] = (await once(child, "close")) as [number | null]
  return { code, out, err, directory }
}

it("from nothing to TLS in ten lines, with a certificate that is replaced at the end", async () => {
  const block = blockUnder("From nothing to TLS in ten lines")
  expect(block.trimEnd().split("\n")).toHaveLength(10)
  const reload = "rm tls/server*.pem\nlogbrook tls dev --host reloaded.example.org\nkill -HUP $!\n"
  const ask =
    "for i in $(seq 100); do curl -sv --cacert tls/ca.pem --cert tls/alice.pem --key tls/alice-key.pem " +
    "https://localhost:18083/healthz 2>&1 | grep -q 'CN=reloaded.example.org' && exit 0; sleep 0.1; done; exit 1"
  const { code, out, err, directory } = await run(`${block}${reload}${ask}`)
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining("tls: certificate loaded") })
  expect(out).toContain("made  tls/alice.pem  tls/alice-key.pem")
  expect(out).toContain("kept  tls/ca.pem  tls/ca-key.pem")
  expect(out).toMatch(/MQTT {2,}127\.0\.0\.1:\d+, TLS/)
  expect(out).toMatch(/HTTP {2,}https:\/\/127/)
  expect(fs.statSync(path.join(directory, "tls/ca-key.pem")).mode & 0o777).toBe(0o600)
})

it("the command line over TLS, with and without what it needs", async () => {
  const wrong = [
    "logbrook streams list --url https://localhost:18083 || echo exit=$?",
    "logbrook streams list --url https://localhost:18083 --ca tls/ca.pem || echo exit=$?",
    "logbrook streams list --url http://localhost:18083 $alice || echo exit=$?",
    "logbrook streams list --url localhost:18083 --json $alice",
    "logbrook publish a b --mqtt localhost:1883 --tls || echo exit=$?",
    "logbrook publish a b --mqtt localhost:1883 --ca tls/ca.pem || echo exit=$?",
    "logbrook publish a b --mqtt 127.0.0.2:1883 $alice || echo exit=$?",
    "cat tls/alice.pem tls/alice-key.pem > both.pem",
    "logbrook publish a b --mqtt localhost:1883 --insecure --cert both.pem",
    "logbrook consume orders --kafka localhost:9092 || echo exit=$?",
    "logbrook publish a b --cert-key tls/alice-key.pem || echo exit=$?"
  ].join("\n")
  const blocks = `${blockUnder("From nothing to TLS in ten lines")}${blockUnder("From the command line")}`
  const { code, out, err } = await run(`${blocks}echo begins >&2\n${wrong}`)
  expect({ code, err }).toMatchObject({ code: 0 })
  expect(out).toMatch(/orders\t0\t0\t-\tone|orders +0 +0 +- +one/)
  expect(out).toContain("sensors/1: 1 message of QoS 1")
  expect(out).toContain('"name": "orders"')
  expect(out).toContain("a: 1 message of QoS 1")
  const faults = err
    .split("begins\n")[1]!
    .split("\n")
    .filter((line) => /^error|^hint/.test(line))
  expect(faults).toEqual([
    expect.stringMatching(/^error\[E_TLS\]: .*\((UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN)\)$/),
    expect.stringContaining("--ca FILE"),
    expect.stringMatching(/^error\[E_TLS\]: .*\(ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED\)$/),
    expect.stringContaining("--cert FILE"),
    expect.stringMatching(/^error\[E_USAGE\]: .* has no TLS$/),
    expect.stringContaining("https://"),
    expect.stringMatching(/^error\[E_UNREACHABLE\]: no MQTT server answers .*\((UNABLE_TO_VERIFY|SELF_SIGNED)/),
    expect.stringContaining("--ca FILE"),
    expect.stringMatching(/^error\[E_NO_MQTT\]: .*CERTIFICATE_REQUIRED/),
    expect.stringContaining("--cert FILE"),
    expect.stringMatching(/^error\[E_UNREACHABLE\]/),
    expect.any(String),
    expect.stringMatching(/^error\[E_NO_KAFKA\]: .*the server closed it/),
    expect.stringContaining("a listener with TLS wants --tls"),
    expect.stringMatching(/^error\[E_USAGE\]: --cert-key is the key of a --cert$/),
    expect.any(String)
  ])
})

it("a certificate's file that cannot be used is told at the start", async () => {
  const { code, err } = await run(
    "logbrook tls dev >/dev/null\ncp tls/dev-key.pem tls/server-key.pem\n" +
      "logbrook serve --tls-cert tls/server.pem --tls-key tls/server-key.pem --mqtt-tls true & wait $!"
  )
  expect(code).toBe(2)
  expect(err).toContain("error[E_TLS_FILE]: tls/server-key.pem is not the key of tls/server.pem")
})

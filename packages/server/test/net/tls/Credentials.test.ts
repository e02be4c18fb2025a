import * as fs from "node:fs"
import * as path from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { Credentials, TlsFileInvalid } from "../../../src/net/tls/Credentials.ts"
import type { TlsOptions } from "../../../src/net/tls/TlsOptions.ts"
import { TestAuthority, writeTls } from "../../support/certificates.ts"
import { temporaryDirectory } from "../../../../core/test/support/temporary.ts"

const authority = new TestAuthority()
let directory: string
let options: TlsOptions
let lines: Array<string>

const note = (message: string, fields = {}): void => void lines.push(`${message} ${JSON.stringify(fields)}`)
const log = { debug: note, info: note, warn: note, error: note }

beforeEach(() => {
  directory = temporaryDirectory()
  options = writeTls(directory, authority, authority.server(), { clientCertificates: "required" })
  lines = []
})

const failureOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof TlsFileInvalid) return `${path.basename(error.file)} ${error.message}`
    throw error
  }
  return "none"
}

describe("files that cannot be used", () => {
  const other = authority.server()
  it.each([
    ["a key of another certificate", "key.pem", other.key, /^key\.pem is not the key of .*cert\.pem$/],
    ["no key", "key.pem", "none", /^key\.pem holds no private key in PEM/],
    ["no certificate", "cert.pem", "none", /^cert\.pem holds no certificate in PEM$/],
    ["no authority", "ca.pem", "none", /^ca\.pem holds no certificate in PEM$/],
    ["a file that is not there", "cert.pem", undefined, /^cert\.pem cannot be read: ENOENT/],
    ["a large file", "ca.pem", "x".repeat(2 ** 20 + 1), /^ca\.pem is above 1 MiB$/]
  ])("say so: %s", (_, file, text, reason) => {
    if (text === undefined) fs.rmSync(path.join(directory, file))
    else fs.writeFileSync(path.join(directory, file), text)
    expect(failureOf(() => new Credentials(options, log))).toMatch(reason)
  })

  it("say so: a chain that is broken", () => {
    fs.appendFileSync(options.cert, "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    expect(failureOf(() => new Credentials(options, log))).toMatch(/^cert\.pem cannot be used: /)
  })

  it("say so: a directory, which is no file", () => {
    expect(failureOf(() => new Credentials({ ...options, clientCa: directory }, log))).toMatch(/ is no file$/)
  })
})

it("a certificate without a subject is taken when its files are read anew", () => {
  const pair = authority.pair("server", { alternativeNames: ["localhost"] })
  const credentials = new Credentials(writeTls(directory, authority, pair), log)
  credentials.reload()
  expect(lines).toEqual([expect.stringContaining('"subject":"none"')])
})

const replace = (name: string): void => {
  const { cert, key } = authority.server(name)
  for (const [file, text] of [
    [options.cert, cert],
    [options.key, key]
  ] as const) {
    fs.writeFileSync(`${file}.new`, text)
    fs.renameSync(`${file}.new`, file)
  }
}

describe("files that change", () => {
  it("are loaded once they have been the same for two looks", async () => {
    const credentials = new Credentials(options, log)
    const taken: Array<unknown> = []
    const leave = credentials.use((context) => taken.push(context.cert))
    await credentials.look()
    await credentials.look()
    expect(taken).toEqual([])
    replace("second")
    await credentials.look()
    expect(taken).toEqual([])
    await credentials.look()
    expect(taken).toEqual([fs.readFileSync(options.cert)])
    await credentials.look()
    expect(taken).toHaveLength(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('"subject":"CN=second"')
    leave()
    credentials.reload()
    expect(taken).toHaveLength(1)
  })

  it("that are broken are told once, and the old ones stay", async () => {
    const credentials = new Credentials(options, log)
    await credentials.look()
    const before = credentials.context
    fs.writeFileSync(options.key, authority.server().key)
    for (let look = 0; look < 4; look++) await credentials.look()
    expect(credentials.context).toBe(before)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain("the old ones stay in use")
    expect(lines[0]).toContain("is not the key of")
    replace("third")
    await credentials.look()
    await credentials.look()
    expect(credentials.context.cert).toEqual(fs.readFileSync(options.cert))
  })
})

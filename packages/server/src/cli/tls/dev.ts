import { createPrivateKey, X509Certificate } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { plainText } from "../../plainText.ts"
import { CliError, exitCodes, usageError } from "../CliError.ts"
import type { Run } from "../commandLine.ts"
import { outJson } from "../Io.ts"
import { type Authority, type CertificateRequest, makeCertificate, type Pair } from "./certificate.ts"

const dayMs = 86_400_000
/** Clients of some systems take no server's certificate of more days. */
const days = { authority: 3650, server: 397, client: 397 } as const
const authorityName = "Logbrook development CA"
/** Clocks of other machines may be behind. */
const earlierMs = 3_600_000

/** A certificate's file and its key's. */
interface Made {
  readonly cert: string
  readonly key: string
  readonly isNew: boolean
}

const filesOf = (directory: string, name: string) => ({
  cert: path.join(directory, `${name}.pem`),
  key: path.join(directory, `${name}-key.pem`)
})

/** Makes a pair and its files, unless they are there. Nobody but its owner may read the key. */
const madeOnce = (directory: string, name: string, make: () => Pair): Made => {
  const { cert, key } = filesOf(directory, name)
  if (fs.existsSync(cert) && fs.existsSync(key)) return { cert, key, isNew: false }
  const pair = make()
  fs.writeFileSync(key, pair.key, { mode: 0o600 })
  fs.writeFileSync(cert, pair.cert)
  return { cert, key, isNew: true }
}

const authorityOf = ({ cert, key }: Made): Authority => {
  const subject = new X509Certificate(fs.readFileSync(cert)).subject
  return { commonName: subject.replace(/^CN=/, ""), key: createPrivateKey(fs.readFileSync(key)) }
}

interface Plan {
  readonly directory: string
  readonly hosts: ReadonlyArray<string>
  readonly client: string
}

const makeAll = ({ directory, hosts, client }: Plan) => {
  fs.mkdirSync(directory, { recursive: true })
  const nowMs = Date.now()
  const request = (
    use: CertificateRequest["use"],
    commonName: string,
    alternativeNames: ReadonlyArray<string>
  ): CertificateRequest => ({
    use,
    commonName,
    alternativeNames,
    fromMs: nowMs - earlierMs,
    untilMs: nowMs + days[use] * dayMs
  })
  const ca = madeOnce(directory, "ca", () => makeCertificate(request("authority", authorityName, [])))
  const authority = authorityOf(ca)
  const names = [...new Set(["localhost", "127.0.0.1", "::1", os.hostname(), ...hosts])]
  return {
    ca,
    server: madeOnce(directory, "server", () => makeCertificate(request("server", names.at(-1)!, names), authority)),
    client: madeOnce(directory, client, () => makeCertificate(request("client", client, []), authority))
  }
}

/** As a file's name and as a principal's. */
const isName = (name: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9._@-]{0,63}$/.test(name)
const isHost = (host: string): boolean => /^[a-zA-Z0-9*:.-]{1,253}$/.test(host)

/** Makes an authority, a server's and a client's certificate for development; those that are there stay. */
export const dev: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = {
      directory: args.text("dir") ?? "tls",
      hosts: args.texts("host"),
      client: args.text("client") ?? "dev"
    }
    if (!isName(plan.client) || plan.client === "ca" || plan.client === "server") {
      return yield* Effect.fail(usageError(`"${plan.client}" cannot be a client's name`, "--client alice"))
    }
    const wrong = plan.hosts.find((host) => !isHost(host))
    if (wrong !== undefined) return yield* Effect.fail(usageError(`"${wrong}" is no host name`, "--host a.example.org"))
    const made = yield* Effect.try({
      try: () => makeAll(plan),
      catch: (error) => new CliError(exitCodes.failure, "E_TLS_DEV", (error as Error).message)
    })
    if (args.flag("json")) {
      outJson(io, made)
      return exitCodes.ok
    }
    for (const { cert, key, isNew } of Object.values(made)) {
      io.out(plainText(`${isNew ? "made" : "kept"}  ${cert}  ${key}`))
    }
    return exitCodes.ok
  })

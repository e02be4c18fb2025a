import { createPrivateKey } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { type CertificateRequest, makeCertificate, type Pair } from "../../src/cli/tls/certificate.ts"
import { Credentials } from "../../src/net/tls/Credentials.ts"
import type { TlsOptions } from "../../src/net/tls/TlsOptions.ts"
import type { Log } from "../../src/Log.ts"

const hourMs = 3_600_000

/** An authority that signs certificates of its own. */
export class TestAuthority {
  readonly #name: string
  readonly #pair: Pair

  constructor(name = "Test CA") {
    this.#name = name
    this.#pair = makeCertificate({ ...this.#until("authority", hourMs), commonName: name })
  }

  get cert(): string {
    return this.#pair.cert
  }

  #until(use: CertificateRequest["use"], ms: number): CertificateRequest {
    const nowMs = Date.now()
    return { use, commonName: undefined, alternativeNames: [], fromMs: nowMs - 24 * hourMs, untilMs: nowMs + ms }
  }

  /** `untilMs`: from now. */
  pair(use: "server" | "client", rest: Partial<CertificateRequest> = {}): Pair {
    const authority = { commonName: this.#name, key: createPrivateKey(this.#pair.key) }
    return makeCertificate({ ...this.#until(use, rest.untilMs ?? hourMs), ...withoutTime(rest) }, authority)
  }

  server(name = "localhost"): Pair {
    return this.pair("server", { commonName: name, alternativeNames: ["localhost", "127.0.0.1"] })
  }

  client(name: string): Pair {
    return this.pair("client", { commonName: name })
  }
}

const withoutTime = ({ untilMs: _, ...rest }: Partial<CertificateRequest>): Partial<CertificateRequest> => rest

/** Writes what a listener reads. */
export const writeTls = (
  directory: string,
  authority: TestAuthority,
  server: Pair,
  rest: Partial<TlsOptions> = {}
): TlsOptions => {
  const [cert, key, clientCa] = ["cert.pem", "key.pem", "ca.pem"].map((name) => path.join(directory, name))
  fs.writeFileSync(cert!, server.cert)
  fs.writeFileSync(key!, server.key)
  fs.writeFileSync(clientCa!, authority.cert)
  return { cert: cert!, key: key!, clientCa: clientCa!, clientCertificates: "off", principal: "cn", ...rest }
}

const quiet = (): void => undefined

/** Of a listener whose log nobody reads. */
export const credentialsOf = (
  options: TlsOptions,
  log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
): Credentials => new Credentials(options, log)

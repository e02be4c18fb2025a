import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeCertificate } from "@logbrook/server/cli/tls/certificate"

/** The files of a server's certificate, which signs itself. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

const dayMs = 86_400_000

/** A P-256 key and a certificate of it, in files of this directory, for a day. */
export const writeCertificate = (directory: string): CertificateFiles => {
  const nowMs = Date.now()
  const names = ["localhost", "127.0.0.1"]
  const request = { commonName: "localhost", alternativeNames: names, use: "server" } as const
  const pair = makeCertificate({ ...request, fromMs: nowMs - dayMs, untilMs: nowMs + dayMs })
  const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")]
  writeFileSync(cert, pair.cert)
  writeFileSync(key, pair.key)
  return { cert, key }
}

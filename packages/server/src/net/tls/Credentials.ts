import { createPrivateKey, constants, type KeyObject, X509Certificate } from "node:crypto"
import * as fs from "node:fs"
import * as tls from "node:tls"
import * as Data from "effect/Data"
import type { Log } from "../../Log.ts"
import type { TlsOptions } from "./TlsOptions.ts"

/** A file of a listener's TLS cannot be used. `message` says why, as a sentence about the file. */
export class TlsFileInvalid extends Data.TaggedError("TlsFileInvalid")<{
  readonly file: string
  readonly message: string
}> {}

const fileBytesMax = 1024 * 1024

const invalid = (file: string, message: string): TlsFileInvalid => new TlsFileInvalid({ file, message })

const read = (file: string): Buffer => {
  try {
    const stat = fs.statSync(file)
    // A pipe would keep the event loop waiting.
    if (!stat.isFile()) throw invalid(file, "is no file")
    if (stat.size > fileBytesMax) throw invalid(file, "is above 1 MiB")
    return fs.readFileSync(file)
  } catch (error) {
    throw error instanceof TlsFileInvalid ? error : invalid(file, `cannot be read: ${(error as Error).message}`)
  }
}

const certificateOf = (file: string, pem: Buffer): X509Certificate => {
  try {
    return new X509Certificate(pem)
  } catch {
    throw invalid(file, "holds no certificate in PEM")
  }
}

const keyOf = (file: string, pem: Buffer): KeyObject => {
  try {
    return createPrivateKey(pem)
  } catch {
    throw invalid(file, "holds no private key in PEM, or one with a passphrase")
  }
}

/** The files that make a TLS context, and what they are. */
interface Loaded {
  readonly context: tls.SecureContextOptions
  readonly certificate: X509Certificate
}

/** Throws `TlsFileInvalid`. */
const load = (options: TlsOptions): Loaded => {
  try {
    return loadAll(options)
  } catch (error) {
    if (error instanceof TlsFileInvalid) throw error
    throw invalid(options.cert, `cannot be used: ${(error as Error).message}`)
  }
}

const loadAll = ({ cert: certFile, key: keyFile, clientCa, clientCertificates }: TlsOptions): Loaded => {
  const [cert, key] = [read(certFile), read(keyFile)]
  const certificate = certificateOf(certFile, cert)
  if (!certificate.checkPrivateKey(keyOf(keyFile, key))) throw invalid(keyFile, `is not the key of ${certFile}`)
  const asked = clientCertificates === "off" ? null : clientCa
  const ca = asked === null ? undefined : read(asked)
  if (asked !== null) certificateOf(asked, ca!)
  const context: tls.SecureContextOptions = {
    cert,
    key,
    ...(ca !== undefined && { ca }),
    minVersion: "TLSv1.2",
    // Every handshake costs a signature: a client gets one for each connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION
  }
  // Throws for what OpenSSL does not take, such as a chain that is broken.
  tls.createSecureContext(context)
  return { context, certificate }
}

/** For the log. Node has no subject where it is empty, as it is where all names are alternative ones, whatever its type says. */
const subjectOf = ({ subject }: { readonly subject: string | undefined }): string =>
  subject?.replaceAll("\n", ", ") ?? "none"

/** Changes when a file does, also by a new link or another file under its name. */
const stampOf = async (files: ReadonlyArray<string>): Promise<string> => {
  const stamps = files.map(async (file) => {
    try {
      const { ino, size, mtimeMs } = await fs.promises.stat(file)
      return `${ino} ${size} ${mtimeMs}`
    } catch {
      return "none"
    }
  })
  return (await Promise.all(stamps)).join("|")
}

/**
 * The certificate, key and authorities of listeners, which their files may replace while the server runs: new connections get the new
 * ones, those that are open stay. Files that cannot be used change nothing.
 */
export class Credentials {
  readonly options: TlsOptions
  readonly #log: Log
  readonly #users = new Set<(context: tls.SecureContextOptions) => void>()
  #loaded: Loaded
  /** Of the files that were loaded last, or could not be; undefined: not looked at since the start. */
  #stamp: string | undefined
  /** Of the files at the last look, if they were others. */
  #changed: string | undefined

  /** Throws `TlsFileInvalid`. */
  constructor(options: TlsOptions, log: Log) {
    this.options = options
    this.#log = log
    this.#loaded = load(options)
  }

  get context(): tls.SecureContextOptions {
    return this.#loaded.context
  }

  /** `take` is called whenever there are new ones, until the function that is returned is. */
  use(take: (context: tls.SecureContextOptions) => void): () => void {
    this.#users.add(take)
    return () => void this.#users.delete(take)
  }

  /** Reads the files anew. */
  reload(): void {
    try {
      this.#loaded = load(this.options)
    } catch (error) {
      if (!(error instanceof TlsFileInvalid)) throw error
      const { file, message: reason } = error
      this.#log.warn("tls: new files are not taken, the old ones stay in use", { file, reason })
      return
    }
    for (const take of this.#users) take(this.#loaded.context)
    const { certificate } = this.#loaded
    const fields = { file: this.options.cert, subject: subjectOf(certificate), until: certificate.validTo }
    this.#log.info("tls: certificate loaded", fields)
  }

  /** Loads files that have changed and have been the same for two looks: a certificate and its key are two files. */
  async look(): Promise<void> {
    const { cert, key, clientCa } = this.options
    const stamp = await stampOf([cert, key, ...(clientCa === null ? [] : [clientCa])])
    this.#stamp ??= stamp
    if (stamp === this.#stamp) this.#changed = undefined
    else if (stamp !== this.#changed) this.#changed = stamp
    else {
      this.#stamp = stamp
      this.#changed = undefined
      this.reload()
    }
  }
}

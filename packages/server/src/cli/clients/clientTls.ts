import * as fs from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Arguments } from "../commandLine.ts"
import { type CliError, usageError } from "../CliError.ts"

/** A client's own part of TLS, as Node's `connect` takes it. */
export interface ClientTls {
  /** PEM of the authorities of the server's certificate; without it, those that Node knows. */
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  /** False: whoever has the server's address is taken for the server. */
  readonly rejectUnauthorized: boolean
}

/** That of the command that runs, for its requests over HTTPS; undefined: the command line says nothing of it. */
export class CommandTls extends Context.Reference<CommandTls>()("logbrook/CommandTls", {
  defaultValue: (): ClientTls | undefined => undefined
}) {}

const fileOf = (args: Arguments, option: string): Effect.Effect<Buffer | undefined, CliError> => {
  const file = args.text(option)
  if (file === undefined) return Effect.succeed(undefined)
  return Effect.try({
    try: () => fs.readFileSync(file),
    catch: (error) => usageError(`--${option} cannot be read: ${(error as Error).message}`)
  })
}

/** Undefined: no option of TLS is given. */
export const clientTlsOf = (args: Arguments): Effect.Effect<ClientTls | undefined, CliError> =>
  Effect.gen(function* () {
    const ca = yield* fileOf(args, "ca")
    const cert = yield* fileOf(args, "cert")
    const key = yield* fileOf(args, "cert-key")
    if (key !== undefined && cert === undefined) {
      return yield* Effect.fail(usageError("--cert-key is the key of a --cert", "--cert client.pem"))
    }
    const isInsecure = args.flag("insecure")
    if (!args.flag("tls") && ca === undefined && cert === undefined && !isInsecure) return undefined
    return {
      ...(ca !== undefined && { ca }),
      // The key may be in the certificate's file.
      ...(cert !== undefined && { cert, key: key ?? cert }),
      rejectUnauthorized: !isInsecure
    }
  })

/** Node's codes for a server's certificate that it does not take. */
const untrusted =
  /^(CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH|INVALID_PURPOSE)/
const wantsCertificate = /ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_EXPIRED)/

/** What to do about an error's code that TLS is behind; undefined: it is not. */
export const tlsHint = (code: string): string | undefined => {
  if (untrusted.test(code)) return "--ca FILE names the authority of the server's certificate; --insecure takes any"
  if (wantsCertificate.test(code)) return "the server may want a client certificate: --cert FILE --cert-key FILE"
  return undefined
}

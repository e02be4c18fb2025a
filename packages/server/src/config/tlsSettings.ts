import type { TlsOptions } from "../net/tls/TlsOptions.ts"
import type { Config, ListenerConfig } from "./Config.ts"

/** The settings of the section `tls`, or what a listener makes of them. */
export type TlsSettings = Config["tls"]

/** Those of a listener that may have some of its own. A certificate and its key go together. */
export const tlsSettingsOf = (shared: TlsSettings, own: ListenerConfig): TlsSettings => ({
  cert: own.tlsCert ?? shared.cert,
  key: own.tlsCert === null ? shared.key : own.tlsKey,
  clientCa: own.tlsClientCa ?? shared.clientCa,
  clientCertificates: own.tlsClientCertificates ?? shared.clientCertificates,
  principal: own.tlsPrincipal ?? shared.principal
})

/** The lack of such settings, in words, for a listener to have TLS; undefined: there is none. */
export const lackOfTls = ({ cert, key, clientCa, clientCertificates }: TlsSettings): string | undefined => {
  if (cert === null || key === null) return "needs a certificate and its key: tls.cert and tls.key"
  if (clientCertificates === "off" || clientCa !== null) return undefined
  return `needs tls.clientCa: client certificates are ${clientCertificates}`
}

/** Throws for settings that lack something: no configuration has them. */
export const tlsOptionsOf = (settings: TlsSettings): TlsOptions => {
  const { cert, key } = settings
  const lack = lackOfTls(settings)
  if (cert === null || key === null || lack !== undefined) throw new Error(`a listener with TLS ${lack}`)
  return { ...settings, cert, key }
}

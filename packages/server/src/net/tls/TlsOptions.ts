/** Whether clients are asked for a certificate, and whether one without is let in. A certificate that is given has to be good. */
export type ClientCertificates = "off" | "optional" | "required"

export const clientCertificates: ReadonlyArray<ClientCertificates> = ["off", "optional", "required"]

/** The name in a client's certificate that is its principal: the subject's common name, or the first alternative name of a kind. */
export type PrincipalName = "cn" | "dns" | "email" | "uri"

export const principalNames: ReadonlyArray<PrincipalName> = ["cn", "dns", "email", "uri"]

/** The TLS of a listener, as the configuration has it. */
export interface TlsOptions {
  /** Paths of PEM files: the certificate with the chain behind it, its key, and the authorities of clients' certificates. */
  readonly cert: string
  readonly key: string
  readonly clientCa: string | null
  readonly clientCertificates: ClientCertificates
  readonly principal: PrincipalName
}

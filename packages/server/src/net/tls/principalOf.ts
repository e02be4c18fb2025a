import { anonymous, type Principal } from "@logbrook/core/access/Access"
import type { PrincipalName } from "./TlsOptions.ts"

/** The names of a certificate, as Node tells them. */
export interface CertificateNames {
  readonly subject: { readonly CN?: string | ReadonlyArray<string> }
  /** `DNS:a.example.org, URI:"spiffe://x, y"`; a value in quotes is JSON. */
  readonly subjectaltname?: string | undefined
}

const nameCharactersMax = 256

const kinds = { dns: "DNS", email: "email", uri: "URI" } as const
const words = { cn: "common name", dns: "DNS name", email: "email address", uri: "URI" } as const

/** The first alternative name of a kind; undefined: there is none. */
const alternativeName = (text: string, kind: string): string | undefined => {
  for (const [, found, quoted, plain] of text.matchAll(/(?:^|, )([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?=, |$)/g)) {
    if (found === kind) return quoted === undefined ? plain : (JSON.parse(quoted) as string)
  }
  return undefined
}

/** The control characters, which would write into logs, and lone surrogates. */
const isPrintable = (name: string): boolean => name.isWellFormed() && !/\p{Cc}/u.test(name)

/** The principal of a client's certificate, or why it is nobody's. Where there are several common names none is taken: it would be chance which. */
export const principalOf = (
  by: PrincipalName,
  { subject, subjectaltname = "" }: CertificateNames
): Principal | string => {
  const name = by === "cn" ? subject.CN : alternativeName(subjectaltname, kinds[by])
  if (name === undefined || name === "") return `the certificate has no ${words[by]}`
  if (typeof name !== "string") return `the certificate has more than one ${words[by]}`
  if (name.length > nameCharactersMax) return `the certificate's ${words[by]} is above ${nameCharactersMax} characters`
  if (!isPrintable(name)) return `the certificate's ${words[by]} has characters that no name has`
  if (name === anonymous.name) return `the certificate's ${words[by]} is that of clients without one`
  return { type: "User", name }
}

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { isIP } from "node:net"
import * as der from "./der.ts"

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly cert: string
  readonly key: string
}

/** A certificate that is to be made. */
export interface CertificateRequest {
  /** Undefined: it has an empty subject. */
  readonly commonName: string | undefined
  /** Host names, addresses, `email:NAME` and `uri:NAME`. */
  readonly alternativeNames: ReadonlyArray<string>
  readonly use: "authority" | "server" | "client"
  /** Unix ms. */
  readonly fromMs: number
  readonly untilMs: number
}

/** A key that signs, and the name under which it does. */
export interface Authority {
  readonly commonName: string
  readonly key: KeyObject
}

const ecdsaWithSha256 = der.sequence(der.oid("1.2.840.10045.4.3.2"))

const nameOf = (commonName: string | undefined): Buffer =>
  commonName === undefined
    ? der.sequence()
    : der.sequence(der.set(der.sequence(der.oid("2.5.4.3"), der.utf8(commonName))))

const groups = (text: string | undefined): ReadonlyArray<string> => (text ? text.split(":") : [])

const ipBytes = (ip: string): Buffer => {
  if (isIP(ip) === 4) return Buffer.from(ip.split(".").map(Number))
  const [head = "", tail] = ip.split("::")
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array<string>(zeros).fill("0"), ...groups(tail)]
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex")
}

/** RFC 5280, 4.2.1.6. */
const generalName = (name: string): Buffer => {
  if (name.startsWith("email:")) return der.taggedBytes(1, Buffer.from(name.slice("email:".length)))
  if (name.startsWith("uri:")) return der.taggedBytes(6, Buffer.from(name.slice("uri:".length)))
  return isIP(name) === 0 ? der.taggedBytes(2, Buffer.from(name)) : der.taggedBytes(7, ipBytes(name))
}

const extension = (id: string, isCritical: boolean, content: Buffer): Buffer =>
  der.sequence(der.oid(id), ...(isCritical ? [der.truth(true)] : []), der.octets(content))

/** keyCertSign and cRLSign, or digitalSignature: the bits of RFC 5280, 4.2.1.3. */
const keyUsage = (isAuthority: boolean): Buffer =>
  isAuthority ? der.bits(Buffer.from([0x06]), 1) : der.bits(Buffer.from([0x80]), 7)

const purposes = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const

const extensionsOf = ({ use, alternativeNames }: CertificateRequest, keyId: Buffer, authorityKeyId: Buffer): Buffer => {
  const isAuthority = use === "authority"
  const names = alternativeNames.map(generalName)
  return der.sequence(
    extension("2.5.29.19", true, isAuthority ? der.sequence(der.truth(true)) : der.sequence()),
    extension("2.5.29.15", true, keyUsage(isAuthority)),
    ...(use === "authority" ? [] : [extension("2.5.29.37", false, der.sequence(der.oid(purposes[use])))]),
    ...(names.length === 0 ? [] : [extension("2.5.29.17", false, der.sequence(...names))]),
    extension("2.5.29.14", false, der.octets(keyId)),
    extension("2.5.29.35", false, der.sequence(der.taggedBytes(0, authorityKeyId)))
  )
}

const spkiOf = (key: KeyObject): Buffer => createPublicKey(key as never).export({ type: "spki", format: "der" })

/** RFC 7093, 2 (1): the leftmost 160 bits of the SHA-256 of the public key's bits, which P-256 has at the end. */
const keyIdOf = (key: KeyObject): Buffer =>
  createHash("sha256").update(spkiOf(key).subarray(-65)).digest().subarray(0, 20)

const pemOf = (label: string, bytes: Buffer): string =>
  `-----BEGIN ${label}-----\n${bytes.toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`

/** Makes a key on P-256 and an X.509 certificate (RFC 5280) of it. Without an authority it signs itself. */
export const makeCertificate = (request: CertificateRequest, authority?: Authority): Pair => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" })
  const signer = authority?.key ?? privateKey
  const content = der.sequence(
    der.tagged(0, der.integer(Buffer.from([2]))),
    der.integer(Buffer.concat([Buffer.from([0x4c]), randomBytes(15)])),
    ecdsaWithSha256,
    nameOf(authority === undefined ? request.commonName : authority.commonName),
    der.sequence(der.time(request.fromMs), der.time(request.untilMs)),
    nameOf(request.commonName),
    spkiOf(privateKey),
    der.tagged(3, extensionsOf(request, keyIdOf(privateKey), keyIdOf(signer)))
  )
  const signature = sign("sha256", content, signer)
  return {
    cert: pemOf("CERTIFICATE", der.sequence(content, ecdsaWithSha256, der.bits(signature))),
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string
  }
}

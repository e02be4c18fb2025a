import type { Socket } from "node:net"
import * as tls from "node:tls"
import { anonymous, type Principal } from "@logbrook/core/access/Access"
import type { Clock } from "@logbrook/core/Clock"
import { TurnShare } from "../../TurnShare.ts"
import type { Credentials } from "./Credentials.ts"
import { type CertificateNames, principalOf } from "./principalOf.ts"

/** The end of a handshake: the socket within, and whose it is, or why there is none. */
export type HandshakeEnd = { readonly socket: Socket; readonly principal: Principal } | { readonly refusal: string }

/**
 * So many handshakes begin in a turn of the event loop. A beginning takes 0.1 ms, and up to 2 with an RSA key: those of a thousand clients that
 * come at once would keep all others waiting.
 */
const handshakesPerTurn = 16

/** The field that Node keeps private: the socket that a TLS socket was made of. */
interface Within {
  readonly _parent?: Socket
}

/** No certificate is an empty object. */
const certificateOf = (socket: tls.TLSSocket): CertificateNames | undefined => {
  const certificate = socket.getPeerCertificate()
  return Object.keys(certificate ?? {}).length === 0 ? undefined : certificate
}

const codeOf = (error: unknown): string => {
  if (typeof error === "string") return error
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}

/** Makes TLS sockets of accepted ones, by Node's own TLS server, which itself listens nowhere. */
export class Handshakes {
  readonly #server: tls.Server
  readonly #credentials: Credentials
  readonly #waiting = new WeakMap<Socket, (end: HandshakeEnd) => void>()
  readonly #leave: () => void
  readonly #share: TurnShare

  constructor(credentials: Credentials, clock: Clock) {
    this.#share = new TurnShare(clock, handshakesPerTurn)
    const { clientCertificates } = credentials.options
    this.#credentials = credentials
    this.#server = tls.createServer({
      ...credentials.context,
      requestCert: clientCertificates !== "off",
      // Clients without one are told so in the handshake. Where it is optional, those with a bad one are refused below.
      rejectUnauthorized: clientCertificates === "required"
    })
    this.#leave = credentials.use((context) => this.#server.setSecureContext(context))
    this.#server.on("secureConnection", (socket) => this.#secured(socket))
    this.#server.on("tlsClientError", (error, socket) => {
      // Node says of a certificate that it refuses no more than that the connection has ended.
      this.#ended(socket, { refusal: `TLS: ${codeOf(socket.authorizationError ?? error)}` })
    })
  }

  /** Begins the handshake of a socket that is paused, with what it has read. `onEnd` is called once, unless the socket closes before. */
  begin(socket: Socket, onEnd: (end: HandshakeEnd) => void): void {
    if (this.#share.isUsedUp) {
      this.#share.wait(() => this.begin(socket, onEnd))
      return
    }
    if (socket.destroyed) return
    this.#share.use(1)
    this.#waiting.set(socket, onEnd)
    // A client that ends its side amid a handshake has gone; behind it, it still gets what it asked for.
    socket.allowHalfOpen = false
    this.#server.emit("connection", socket)
  }

  /** Nobody waits any more. */
  stop(): void {
    this.#leave()
  }

  #ended(socket: tls.TLSSocket, end: HandshakeEnd): void {
    const within = (socket as unknown as Within)._parent
    const onEnd = within && this.#waiting.get(within)
    if (onEnd === undefined) socket.destroy()
    else {
      this.#waiting.delete(within!)
      onEnd(end)
    }
  }

  #secured(socket: tls.TLSSocket): void {
    // Node tells what breaks a socket's TLS, and leaves it open.
    socket.on("error", () => socket.destroy())
    socket.allowHalfOpen = true
    const principal = this.#principalOf(socket)
    if (typeof principal === "string") this.#ended(socket, { refusal: principal })
    else this.#ended(socket, { socket, principal })
  }

  /** Or why it may not come in. */
  #principalOf(socket: tls.TLSSocket): Principal | string {
    const { clientCertificates, principal } = this.#credentials.options
    if (clientCertificates === "off") return anonymous
    const certificate = certificateOf(socket)
    if (certificate === undefined) return clientCertificates === "required" ? "there is no certificate" : anonymous
    if (!socket.authorized) return `TLS: ${codeOf(socket.authorizationError ?? "the certificate is not trusted")}`
    return principalOf(principal, certificate)
  }
}

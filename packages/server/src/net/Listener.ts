import type { Credentials } from "./tls/Credentials.ts"

/** As the settings name them. */
export type ListenerProtocol = "mqtt" | "mqttWs" | "kafka" | "http"

/** Where a listener is. A port of 0 takes any free one; `path` is that of a Unix socket, `mode` who may use it, as of a file. */
export type ListenAddress =
  | { readonly host: string; readonly port: number }
  | { readonly path: string; readonly mode: number }

/** The limits of one listener, within those of the server; `Infinity` where it has none of its own. */
export interface ListenerLimits {
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  readonly newConnectionsPerSecondMax: number
}

export const noListenerLimits: ListenerLimits = {
  connectionsMax: Infinity,
  connectionsPerAddressMax: Infinity,
  newConnectionsPerSecondMax: Infinity
}

/** The options that all listeners have, whatever they speak. */
export interface ListenerOptions {
  /** `mqtt`, `mqttWs`, `kafka` and `http` are those that nobody needs to name. */
  readonly name: string
  readonly at: ListenAddress
  /** Connections come through a load balancer and begin with PROXY headers. */
  readonly isProxied: boolean
  /** Undefined: connections are in plain text. */
  readonly tls?: Credentials | undefined
  readonly limits: ListenerLimits
}

/** A listener that listens. */
export interface Listening {
  readonly name: string
  readonly protocol: ListenerProtocol
  readonly at: ListenAddress
  /** 0 of a Unix socket. */
  readonly port: number
  readonly isTls: boolean
}

/** The address of everybody who comes by a Unix socket. */
export const unixAddress = (path: string): string => `unix:${path}`

/** `127.0.0.1:1883`, `[::1]:1883`, `unix:/run/logbrook.sock` */
export const addressText = (at: ListenAddress): string => {
  if ("path" in at) return unixAddress(at.path)
  return `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}`
}

import { randomUUID } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type {
  Connect as OpenSession,
  ConnectionId,
  SessionOpened,
  SessionRefused,
  Will
} from "@logbrook/actors/session/SessionProtocol"
import type { Principal } from "@logbrook/core/access/Access"
import type { ConnackProperties } from "@logbrook/protocols/mqtt/encode"
import { encodeConnack } from "@logbrook/protocols/mqtt/encode"
import { type Connect, MqttError, PacketType, type Will as WireWill } from "@logbrook/protocols/mqtt/Packet"
import { ConnackCode311, ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { foreignProtocol } from "../net/foreignProtocol.ts"
import { type AuthenticatedConnection, Authentication } from "./authentication/Authentication.ts"
import type { Client } from "./Client.ts"
import { secondMs } from "./Message.ts"
import { mountedTopic } from "./MountPoint.ts"
import type { BrokerConnection, MqttBroker, Session } from "./MqttBroker.ts"
import { deniedPublish } from "./Publisher.ts"
import type { MqttOptions } from "./MqttOptions.ts"
import type { RetainedFeed } from "./RetainedFeed.ts"
import type { StreamFeed } from "./streams/StreamFeed.ts"
import { readsStream } from "./streams/subscribeStream.ts"

/** A connection whose CONNECT has come: the handshake decides what the connection goes by from then on. */
export interface OpeningConnection extends Client, BrokerConnection, AuthenticatedConnection {
  readonly address: string
  readonly mqtt: MqttBroker
  clientId: string
  session: Session | undefined
  packetSizeMax: number
  wantsProblems: boolean
  wantsReceipts: boolean
  sessionExpiryMs: number
  keepAliveMs: number
  inflightMax: number
  topicAliasesMax: number
  /** Packet ids of QoS 2 that wait for PUBREL since an earlier connection. */
  unreleased: ReadonlyArray<number>
  readonly isOpening: boolean
  readonly feed: RetainedFeed
  readonly streams: StreamFeed
  /** The client has to say who it is first, by AUTH packets. */
  readonly authenticates: (authentication: Authentication) => void
  /** It has, and is this one: its session is opened. */
  readonly identified: (principal: Principal) => void
  /** Its CONNECT is one that the server takes. */
  readonly authenticated: () => void
  /** CONNACK with a refusal, then the end; `packet` undefined: the client's version has none for it. */
  readonly refuse: (packet: Uint8Array | undefined, reason: string) => void
  /** The session is the connection's: what waited for it goes on. */
  readonly opened: () => void
}

/** The Receive Maximum of a client that names none (MQTT 5, 3.1.2.11.3). */
const receiveMaximumDefault = 65_535

const willOf = (
  { topic, payload, qos, retain, properties }: WireWill,
  delayMsMax: number,
  mountPoint: string
): Will => ({
  topic: mountedTopic(mountPoint, topic),
  payload,
  qos,
  retain,
  delayMs: Math.min((properties.willDelayIntervalSeconds ?? 0) * secondMs, delayMsMax),
  expiryMs:
    properties.messageExpiryIntervalSeconds === undefined ? null : properties.messageExpiryIntervalSeconds * secondMs,
  userProperties: properties.userProperties ?? [],
  contentType: properties.contentType ?? null,
  responseTopic: properties.responseTopic === undefined ? null : mountedTopic(mountPoint, properties.responseTopic),
  correlationData: properties.correlationData ?? null,
  payloadFormat: properties.payloadFormatIndicator ?? null
})

/** Clean Session 0 of MQTT 3.1.1 has no expiry of its own. */
const expiryOf = (connect: Connect, sessionExpiryMsMax: number): number => {
  if (connect.version !== 5) return connect.cleanStart ? 0 : sessionExpiryMsMax
  return Math.min((connect.properties.sessionExpiryIntervalSeconds ?? 0) * secondMs, sessionExpiryMsMax)
}

/** `code4` undefined: MQTT 3.1.1 has none for it, and the connection is closed [MQTT-3.2.2-6 of 3.1.1]. */
const refuse = (
  connection: OpeningConnection,
  code5: number,
  code4: number | undefined,
  reason: string,
  rest: ConnackProperties = {}
): void => {
  const { version } = connection
  const code = version === 5 ? code5 : code4
  const properties = version === 5 ? { ...rest, reasonString: reason } : {}
  const packet =
    code === undefined ? undefined : encodeConnack(version, false, code, properties, connection.packetSizeMax)
  connection.refuse(packet, reason)
}

/** The first byte of every MQTT connection: other protocols need not be waited for. */
const connectByte = PacketType.Connect << 4

/** The fault of a connection's first bytes, which are of another protocol than MQTT; undefined: there is none yet. */
export const faultOfFirst = (bytes: Uint8Array): MqttError | undefined => {
  if (bytes.length === 0 || bytes[0] === connectByte) return undefined
  const foreign = foreignProtocol(bytes)
  const what = foreign === undefined ? "the first packet is not CONNECT" : `${foreign} came instead of CONNECT`
  return new MqttError(ReasonCode.ProtocolError, what)
}

/** CONNACK for an MQTT 5 client that may not come in. */
export const connackOf = ({ reasonCode, message }: MqttError, packetSizeMax: number): Uint8Array =>
  encodeConnack(5, false, reasonCode, { reasonString: message }, packetSizeMax)

/** Whether clients are sent to another server; then this one is. */
const isRedirected = (connection: OpeningConnection): boolean => {
  const { redirect, serverReference } = connection.mqtt.options
  if (redirect === "no") return false
  const code = redirect === "permanently" ? ReasonCode.ServerMoved : ReasonCode.UseAnotherServer
  const rest = serverReference === null ? {} : { serverReference }
  refuse(connection, code, ConnackCode311.ServerUnavailable, "clients are to use another server", rest)
  return true
}

const excesses = {
  connections: { code: ReasonCode.ServerBusy, reason: "there are too many connections" },
  address: { code: ReasonCode.QuotaExceeded, reason: "there are too many connections from this address" },
  rate: { code: ReasonCode.ConnectionRateExceeded, reason: "there are too many new connections in this second" }
} as const

/** Whether the connection is one too many; it is refused then. */
const isInExcess = (connection: OpeningConnection): boolean => {
  const { excess } = connection.admission
  if (excess === undefined) return false
  const { code, reason } = excesses[excess]
  refuse(connection, code, ConnackCode311.ServerUnavailable, reason)
  return true
}

/** Whether its will is one that could not be published; it is refused then. */
const isWillRefused = (connection: OpeningConnection, { topic, qos, retain }: WireWill): boolean => {
  const { options, broker } = connection.mqtt
  if (qos > options.maximumQos) {
    // [MQTT-3.2.2-12]
    refuse(connection, ReasonCode.QoSNotSupported, undefined, `messages of QoS ${qos} are not taken`)
    return true
  }
  if (retain && !options.retainAvailable) {
    // [MQTT-3.2.2-13]
    refuse(connection, ReasonCode.RetainNotSupported, undefined, "no messages are retained")
    return true
  }
  const denied = deniedPublish(broker.authorizer, connection.principal, topic, connection.mount.mountPoint)
  if (denied === undefined) return false
  refuse(connection, ReasonCode.NotAuthorized, ConnackCode311.NotAuthorized, denied.text)
  return true
}

/** Whether the server's limits and state are against a CONNECT that is well-formed; it is refused then. */
const isRefused = (connection: OpeningConnection, connect: Connect): boolean => {
  if (connect.will !== undefined && isWillRefused(connection, connect.will)) return true
  if (!connection.mqtt.hasRoomFor(connection.clientId)) {
    refuse(connection, ReasonCode.QuotaExceeded, ConnackCode311.ServerUnavailable, "there are too many sessions")
    return true
  }
  return false
}

/**
 * CONNECT: the client says who it is, if it names a method for that; then the session is opened, its old connection closed. CONNACK
 * follows the commit.
 */
export const openSession = (connection: OpeningConnection, connect: Connect): void => {
  const { authenticationMethod, maximumPacketSizeBytes } = connect.properties
  connection.clientId = connect.clientId === "" ? `logbrook-${randomUUID()}` : connect.clientId
  connection.packetSizeMax = maximumPacketSizeBytes ?? Infinity
  if (isRedirected(connection) || isInExcess(connection)) return
  if (authenticationMethod === undefined) {
    open(connection, connect)
    return
  }
  const { authenticationMethods, broker } = connection.mqtt
  const method = authenticationMethods.find(({ name }) => name === authenticationMethod)
  if (method === undefined) {
    // [MQTT-4.12.0-1]
    const reason = "the server has no such authentication method"
    refuse(connection, ReasonCode.BadAuthenticationMethod, ConnackCode311.NotAuthorized, reason)
    return
  }
  const { clientId, address } = connection
  const { clock, log, limits } = broker
  const parts = { clock, log, timeoutMs: limits.authenticationTimeoutMs }
  const { username, password, properties } = connect
  const authentication = new Authentication(connection, parts, method, { clientId, username, password, address })
  connection.authenticates(authentication)
  authentication.begin(properties.authenticationData, (principal, authenticationData) => {
    connection.identified(principal)
    open(connection, connect, {
      authenticationMethod,
      ...(authenticationData !== undefined && { authenticationData })
    })
  })
}

/** `authentication`: the part of it that CONNACK has [MQTT-4.12.0-5]. */
const open = (connection: OpeningConnection, connect: Connect, authentication: ConnackProperties = {}): void => {
  const { mqtt } = connection
  const { mountPoint } = connection.mount
  const { limits } = mqtt.broker
  const { properties } = connect
  if (isRefused(connection, connect)) return
  connection.wantsProblems = properties.requestProblemInformation ?? true
  connection.wantsReceipts =
    connect.version === 5 &&
    connection.wantsProblems &&
    (properties.userProperties ?? []).some(([name, value]) => name === "receipts" && value === "1")
  connection.sessionExpiryMs = expiryOf(connect, limits.sessionExpiryMsMax)
  connection.keepAliveMs = keepAliveSecondsOf(connect, mqtt.options) * secondMs
  connection.inflightMax = Math.min(properties.receiveMaximum ?? receiveMaximumDefault, limits.inflightPerSessionMax)
  connection.topicAliasesMax = Math.min(properties.topicAliasMaximum ?? 0, limits.topicAliasesMax)
  connection.authenticated()
  // Before the session's actor hears of it, so that nothing of the old connection comes after.
  const replaced = mqtt.serve(connection)
  const command: OpenSession = {
    _tag: "Connect",
    connectionId: connection.id,
    cleanStart: connect.cleanStart,
    sessionExpiryMs: connection.sessionExpiryMs,
    will: connect.will === undefined ? null : willOf(connect.will, limits.willDelayMsMax, mountPoint),
    keepAliveMs: connection.keepAliveMs,
    protocolVersion: connect.version,
    ...(mountPoint !== "" && { mountPoint })
  }
  mqtt.opens(connection.clientId, command, connection.origin("CONNECT"), (exit) => {
    if (Exit.isFailure(exit) && replaced !== undefined) leaveFor(connection, replaced)
    if (!connection.isOpening) return
    if (Exit.isSuccess(exit)) connection.guarded(() => accept(connection, connect, exit.value, authentication))
    else refuseSession(connection, exit.cause)
  })
}

/** A takeover was refused: the session is still that of the connection which was closed for it, and which never left it. */
const leaveFor = (connection: OpeningConnection, connectionId: ConnectionId): void => {
  const end = { by: "takeover" } as const
  const command = { _tag: "Disconnect", connectionId, publishWill: true, sessionExpiryMs: null, end } as const
  connection.mqtt.left(connection.clientId, command, connection.origin("CONNECT"))
}

/** MQTT 3.1.1 cannot be told of another keep alive than its own. */
const keepAliveSecondsOf = ({ version, keepAliveSeconds }: Connect, { keepAliveSMax }: MqttOptions): number => {
  if (version !== 5 || keepAliveSMax === 0) return keepAliveSeconds
  return keepAliveSeconds === 0 ? keepAliveSMax : Math.min(keepAliveSeconds, keepAliveSMax)
}

/** A client's own topic for responses: one level, whatever its client id has. */
const responseTopicOf = (prefix: string, clientId: string): string =>
  `${prefix}/${clientId.replaceAll(/[%/+#]/g, encodeURIComponent)}`

const refuseSession = (connection: OpeningConnection, cause: Cause.Cause<SessionRefused>): void => {
  const refused = Option.getOrUndefined(Cause.failureOption(cause))
  if (refused?.reason === "QuotaExceeded") {
    const text = "there is no memory for the session or its will"
    refuse(connection, ReasonCode.QuotaExceeded, ConnackCode311.ServerUnavailable, text)
  } else {
    refuse(connection, ReasonCode.ServerUnavailable, ConnackCode311.ServerUnavailable, "the session is not available")
  }
}

const accept = (
  connection: OpeningConnection,
  connect: Connect,
  opened: SessionOpened,
  authentication: ConnackProperties
): void => {
  const { mqtt, version } = connection
  const session = mqtt.directory.get(connection.clientId)
  if (session === undefined) {
    connection.lost("its session is gone")
    return
  }
  mqtt.directory.serves(session, connection)
  connection.session = session
  connection.unreleased = opened.unreleasedQos2
  const properties = version === 5 ? { ...connackProperties(connection, connect), ...authentication } : {}
  const { sessionPresent } = opened
  const connack = encodeConnack(version, sessionPresent, ReasonCode.Success, properties, connection.packetSizeMax)
  if (!connection.answer(connack)) return
  if (opened.queue.length > 0) connection.outgoing.enqueue(opened.queue)
  connection.opened()
  // The client has sent DISCONNECT, or its end, behind CONNECT: nothing may begin that its end was to stop.
  if (!connection.isOpen) return
  mqtt.shared.came(session, session.subscriptions.filters())
  const due = session.retainedDue.filter(({ subscription }) => session.subscriptions.has(subscription.filter))
  session.retainedDue = []
  for (const each of due) connection.feed.add(each)
  for (const each of opened.subscriptions) if (readsStream(each)) connection.streams.add(each)
}

/** The properties of CONNACK. Those that equal the standard's defaults are left out: they might make CONNACK larger than the client takes it. */
const connackProperties = (connection: OpeningConnection, connect: Connect): ConnackProperties => {
  const { broker, options } = connection.mqtt
  const { limits } = broker
  const { maximumQos, retainAvailable, responsePrefix } = options
  const askedMs = (connect.properties.sessionExpiryIntervalSeconds ?? 0) * secondMs
  const grantedMs = connection.sessionExpiryMs
  const keepAliveSeconds = connection.keepAliveMs / secondMs
  const wantsResponses = connect.properties.requestResponseInformation === true
  return {
    ...(limits.receiveMaximum !== receiveMaximumDefault && { receiveMaximum: limits.receiveMaximum }),
    ...(maximumQos < 2 && { maximumQoS: maximumQos as 0 | 1 }),
    ...(!retainAvailable && { retainAvailable }),
    maximumPacketSizeBytes: limits.mqttPacketBytesMax,
    // [MQTT-3.2.2-21]
    ...(keepAliveSeconds !== connect.keepAliveSeconds && { serverKeepAliveSeconds: keepAliveSeconds }),
    ...(wantsResponses &&
      responsePrefix !== null && { responseInformation: responseTopicOf(responsePrefix, connection.clientId) }),
    ...(limits.topicAliasesMax > 0 && { topicAliasMaximum: limits.topicAliasesMax }),
    ...(grantedMs !== askedMs && { sessionExpiryIntervalSeconds: Math.floor(grantedMs / secondMs) }),
    ...(connect.clientId === "" && { assignedClientIdentifier: connection.clientId })
  }
}

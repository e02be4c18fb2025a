import type { Packet, ProtocolVersion, UserProperties } from "../../src/mqtt/Packet.ts"

/** Our names that differ from mqtt-packet's. */
const oracleNames = new Map([
  ["messageExpiryIntervalSeconds", "messageExpiryInterval"],
  ["sessionExpiryIntervalSeconds", "sessionExpiryInterval"],
  ["willDelayIntervalSeconds", "willDelayInterval"],
  ["maximumPacketSizeBytes", "maximumPacketSize"]
])

const plain = (value: unknown): unknown => (value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value)

const grouped = (pairs: UserProperties): Array<readonly [string, ReadonlyArray<string>]> => {
  const groups = new Map<string, Array<string>>()
  for (const [name, value] of pairs) groups.set(name, [...(groups.get(name) ?? []), value])
  return [...groups]
}

const properties = (ours: object | undefined): object =>
  Object.fromEntries(
    Object.entries(ours ?? {}).map(([name, value]) =>
      name === "userProperties"
        ? [name, grouped(value as UserProperties)]
        : [oracleNames.get(name) ?? name, name === "payloadFormatIndicator" ? value === 1 : plain(value)]
    )
  )

/** Our packet in mqtt-packet's shape, bytes as hex, user properties grouped by name. */
export const toOracle = (packet: Packet, version: ProtocolVersion): object => {
  const cmd = packet._tag.toLowerCase()
  switch (packet._tag) {
    case "Publish":
      return {
        cmd,
        topic: packet.topic,
        payload: plain(packet.payload),
        qos: packet.qos,
        retain: packet.retain,
        dup: packet.dup,
        ...(packet.qos > 0 && { messageId: packet.packetId }),
        properties: properties(packet.properties)
      }
    case "Connect":
      return {
        cmd,
        protocolVersion: packet.version,
        clean: packet.cleanStart,
        keepalive: packet.keepAliveSeconds,
        clientId: packet.clientId,
        ...(packet.username !== undefined && { username: packet.username }),
        ...(packet.password !== undefined && { password: plain(packet.password) }),
        ...(packet.will !== undefined && {
          will: { ...packet.will, payload: plain(packet.will.payload), properties: properties(packet.will.properties) }
        }),
        properties: properties(packet.properties)
      }
    case "Subscribe":
      return {
        cmd,
        messageId: packet.packetId,
        subscriptions: packet.subscriptions.map(({ filter: topic, qos, noLocal, retainAsPublished, retainHandling }) =>
          version === 4 ? { topic, qos } : { topic, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
        ),
        properties: properties(packet.properties)
      }
    case "Unsubscribe":
      return {
        cmd,
        messageId: packet.packetId,
        unsubscriptions: packet.filters,
        properties: properties(packet.properties)
      }
    case "Pingreq":
      return { cmd, properties: {} }
    case "Disconnect":
    case "Auth":
      return {
        cmd,
        ...(version === 5 && { reasonCode: packet.reasonCode }),
        properties: properties(packet.properties)
      }
    default:
      return {
        cmd,
        messageId: packet.packetId,
        ...(version === 5 && { reasonCode: packet.reasonCode }),
        properties: properties(packet.properties)
      }
  }
}

const bookkeeping = new Set(["length", "protocolId"])
/** Of the fixed header; mqtt-packet sets them on every packet. */
const publishOnly = new Set(["qos", "retain", "dup", "topic", "payload"])

const normalProperties = (theirs: object | undefined): object =>
  Object.fromEntries(
    Object.entries(theirs ?? {}).map(([name, value]) =>
      name === "userProperties"
        ? [name, Object.entries(value as object).map(([key, one]) => [key, Array.isArray(one) ? one : [one]])]
        : [name, plain(value)]
    )
  )

/** mqtt-packet's packet, in the same shape. */
toOracle.normal = (theirs: object): object => {
  const isPublish = (theirs as { cmd?: string }).cmd === "publish"
  const out = new Map<string, unknown>([["properties", {}]])
  for (const [name, value] of Object.entries(theirs)) {
    if (bookkeeping.has(name) || (!isPublish && publishOnly.has(name)) || value === null) continue
    if (name === "properties") out.set(name, normalProperties(value as object))
    else if (name === "will") out.set(name, normalWill(value as { properties?: object }))
    else out.set(name, plain(value))
  }
  return Object.fromEntries(out)
}

const normalWill = (will: { properties?: object }): object => ({
  ...Object.fromEntries(Object.entries(will).map(([name, value]) => [name, plain(value)])),
  properties: normalProperties(will.properties)
})

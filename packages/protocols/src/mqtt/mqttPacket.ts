import { generate, parser, writeToStream } from "mqtt-packet"
import type * as MqttPacket from "mqtt-packet"
import type { ProtocolVersion, UserProperties } from "./Packet.ts"
import { PacketType } from "./Packet.ts"
import { variableBytes, writeVariable } from "./PacketWriter.ts"

// The library behind the strict check: everything that is called of mqtt-packet is called here.

// It would make 65,536 buffers at the first packet that it writes, one for each number of two bytes.
writeToStream.cacheNumbers = false

/** The packets that mqtt-packet reads for the server: all that a client may send but PUBLISH, its acknowledgements and PINGREQ. */
type ParsedName = "connect" | "subscribe" | "unsubscribe" | "disconnect" | "auth"

type Parsed<Name extends ParsedName> = Extract<MqttPacket.Packet, { readonly cmd: Name }>

const firstBytes: Readonly<Record<ParsedName, number>> = {
  connect: PacketType.Connect << 4,
  subscribe: (PacketType.Subscribe << 4) | 2,
  unsubscribe: (PacketType.Unsubscribe << 4) | 2,
  disconnect: PacketType.Disconnect << 4,
  auth: PacketType.Auth << 4
}

/** Reads one whole packet with a parser of its own or one that is used again: it emits before `parse` returns. */
type Parse = (packet: Buffer) => MqttPacket.Packet

const makeParse = (version: ProtocolVersion): Parse => {
  let seen: MqttPacket.Packet | undefined
  let failure: Error | undefined
  const shared = parser({ protocolVersion: version })
  shared.on("packet", (packet) => (seen = packet))
  shared.on("error", (error: Error) => (failure = error))
  return (bytes) => {
    const left = shared.parse(bytes)
    const packet = seen
    seen = undefined
    if (packet !== undefined && failure === undefined && left === 0) return packet
    throw new Error("mqtt-packet does not read what the strict check let pass", { cause: failure })
  }
}

const parsers = new Map<ProtocolVersion, Parse>()

/** The parser of `version` is used for all packets of all connections; one that failed is not used again. */
const parseWithShared = (bytes: Buffer, version: ProtocolVersion): MqttPacket.Packet => {
  const parse = parsers.get(version) ?? makeParse(version)
  parsers.delete(version)
  const packet = parse(bytes)
  parsers.set(version, parse)
  return packet
}

const isNamed = <Name extends ParsedName>(packet: MqttPacket.Packet, name: Name): packet is Parsed<Name> =>
  packet.cmd === name

/**
 * The packet of which `body` is what follows the fixed header. mqtt-packet sees a copy of exactly these bytes.
 * A throw is a defect: `body` must have passed the strict check.
 */
export const parsePacket = <Name extends ParsedName>(
  name: Name,
  body: Uint8Array,
  version: ProtocolVersion
): Parsed<Name> => {
  const header = 1 + variableBytes(body.length)
  const bytes = Buffer.allocUnsafe(header + body.length)
  bytes[0] = firstBytes[name]
  writeVariable(bytes, 1, body.length)
  bytes.set(body, header)
  // A parser keeps the last CONNECT that it read, will and password: no longer than this call, then.
  const packet = name === "connect" ? makeParse(version)(bytes) : parseWithShared(bytes, version)
  if (isNamed(packet, name)) return packet
  throw new Error(`mqtt-packet reads ${packet.cmd} where the strict check saw ${name}`)
}

/**
 * The bytes of a packet. Throws `RangeError` for what MQTT cannot express.
 * mqtt-packet's own Maximum Packet Size is not used: it does not count the fixed header.
 */
export const generatePacket = (packet: MqttPacket.Packet, version: ProtocolVersion): Uint8Array => {
  try {
    return generate(packet, { protocolVersion: version })
  } catch (cause) {
    throw new RangeError(`${packet.cmd} holds what MQTT cannot express`, { cause })
  }
}

/** mqtt-packet's types know only one object for all pairs; it also writes one object for each, which keeps order and repeats. */
export const pairsForGenerate = (pairs: UserProperties): MqttPacket.UserProperties =>
  pairs.map(([name, value]) => ({ [name]: value })) as unknown as MqttPacket.UserProperties

import { inPackage } from "./Mutant.ts"

/** In the wire codecs: bounds, lengths, versions, flags and codes. */
export const protocolMutants = inPackage("protocols", {
  "mqtt/Splitter.ts": {
    tests: ["mqtt/splitter.test.ts"],
    faults: [
      ["a packet a byte over the limit passes", "if (length > this.sizeMax) {", "if (length > this.sizeMax + 1) {"],
      ["a packet of exactly the limit is refused", "if (length > this.sizeMax) {", "if (length >= this.sizeMax) {"],
      ["packet type 0 passes", "if (bytes[at]! < 0x10) throw", "if (bytes[at]! < 0) throw"],
      ["a remaining length of five bytes passes", "const headerBytesMax = 5", "const headerBytesMax = 6"],
      ["a held packet loses what came first", "held.set(this.#held!.subarray(0, this.#heldBytes))", ""],
      [
        "bytes of a packet that is whole still wait",
        "this.#held = undefined\n      this.#heldBytes = 0",
        "this.#held = undefined"
      ]
    ]
  },
  "mqtt/decodePublish.ts": {
    tests: ["mqtt"],
    faults: [
      ["QoS 3 of a PUBLISH passes", 'if (qos === 3) throw malformed("QoS 3")\n  if (dup', "if (dup"],
      ["DUP on QoS 0 passes", "if (dup && qos === 0) throw", "if (dup && qos === 1 && packet.length === 0) throw"],
      ["packet id 0 of a PUBLISH passes", "if (packetId === 0) throw", "if (packetId < 0) throw"],
      ["a packet id may lie behind its packet", "if (at > end) throw", "if (at > end + 2) throw"],
      ["an empty topic passes without an alias", 'if (hasAlias) return ""', 'return ""'],
      ["PUBREL's codes pass for PUBACK", "type <= PacketType.Pubrec ?", "type <= PacketType.Pubcomp ?"]
    ]
  },
  "mqtt/fixedHeader.ts": {
    tests: ["mqtt"],
    faults: [
      ["flags of the fixed header are not looked at", "(first & 0x0f) !== (isTwo ? 2 : 0)", "(first & 0x0f) > 15"],
      [
        "a longer remaining length than needed passes",
        "if (byte === 0 && version === 5) throw",
        "if (byte === 0 && version === undefined) throw"
      ]
    ]
  },
  "mqtt/check.ts": {
    tests: ["mqtt"],
    faults: [
      ["reserved bits of a subscription pass", "version !== 5 ? 0xfc : 0xc0", "version !== 5 ? 0xc0 : 0"],
      [
        "No Local on a shared subscription passes",
        "if (noLocal && parseSharedFilter(filter) !== undefined) throw",
        "if (noLocal && filter === undefined) throw"
      ],
      ["retain handling 3 passes", "if ((options & 0x30) === 0x30) throw", "if ((options & 0x30) === 0x40) throw"],
      [
        "SUBSCRIBE without a filter passes",
        'if (reader.remaining === 0) throw protocolError("SUBSCRIBE',
        'if (reader.remaining < 0) throw protocolError("SUBSCRIBE'
      ],

      [
        "a filter that is none passes UNSUBSCRIBE",
        "validateTopicFilter(filter, limits)\n  return filter",
        "return filter"
      ],
      ["retain as published is not told", "retainAsPublished: (options & 8) !== 0", "retainAsPublished: false"],
      [
        "MQTT 3.1.1 is not told of filters that were left",
        "if (version === 5 || count === 0) return count",
        "if (count >= 0) return count"
      ],
      [
        "a code that is none of DISCONNECT's passes",
        "if (!disconnectCodes.has(reasonCode)) {",
        "if (reasonCode < 0) {"
      ],
      ["AUTH without its method passes", "if (!facts.hasAuthenticationMethod) throw", "if (facts === undefined) throw"],
      [
        "bytes behind AUTH pass",
        "reader.throwUnlessAtEnd()\n  if (!facts.hasAuthenticationMethod)",
        "if (!facts.hasAuthenticationMethod)"
      ]
    ]
  },
  "mqtt/decode.ts": {
    tests: ["mqtt"],
    faults: [
      [
        "AUTH of MQTT 3.1.1 passes",
        'if (version !== 5) throw protocolError("AUTH',
        'if (version === undefined) throw protocolError("AUTH'
      ],

      ["AUTH's data is a view", "authenticationData: data && new Uint8Array(data)", "authenticationData: data"]
    ]
  },
  "mqtt/checkConnect.ts": {
    tests: ["mqtt"],
    faults: [
      ["the reserved flag of CONNECT passes", "if ((flags & 0x01) !== 0) throw", "if ((flags & 0x01) > 1) throw"],
      ["a will's QoS without a will passes", "(flags & 0x38) !== 0) throw", "(flags & 0x38) > 0x38) throw"],
      ["will QoS 3 passes", "if ((flags & 0x18) === 0x18) throw", "if ((flags & 0x18) === 0x19) throw"],
      [
        "a client id a byte too long passes",
        "bytes > limits.clientIdBytesMax ||",
        "bytes > limits.clientIdBytesMax + 1 ||"
      ],
      ["an empty client id passes without clean session", "(version === 4 && cleanStart)", "version === 4"],
      ["an empty client id passes in MQTT 3.1", "(version === 4 && cleanStart)", "cleanStart"],
      ["a client id of MQTT 3.1 may be as long as others", "characters > clientIdCharactersMax31", "characters > 1e9"],
      ["bytes behind CONNECT pass", "reader.throwUnlessAtEnd()\n  return { will", "return { will"],
      ["a refusal may be larger than the client takes", "packetSizeMax = facts.maximumPacketSizeBytes", ""]
    ]
  },
  "mqtt/decodeConnect.ts": {
    tests: ["mqtt"],
    faults: [
      ["a will has the connection's user properties", "checked.willUserProperties", "checked.userProperties"],
      [
        "a will's payload is a view of the packet",
        "payload: new Uint8Array(payload as Buffer)",
        "payload: payload as Buffer"
      ],
      ["a payload format of 0 is none", "flag ? 1 : 0", "flag ? 1 : undefined"]
    ]
  },
  "mqtt/mqttPacket.ts": {
    tests: ["mqtt"],
    faults: [
      ["a parser that failed is used again", "  parsers.delete(version)\n", "  parsers.set(version, parse)\n"],
      [
        "user properties lose their order",
        "pairs.map(([name, value]) => ({ [name]: value }))",
        "Object.fromEntries(pairs)"
      ]
    ]
  },
  "mqtt/PacketReader.ts": {
    tests: ["mqtt"],
    faults: [
      [
        "a field may end a byte behind its packet",
        "if (length > this.end - start) throw",
        "if (length > this.end - start + 1) throw"
      ],
      [
        "a variable byte integer longer than needed passes",
        "if (byte === 0 && index > 0) throw",
        "if (byte === 0 && index > 4) throw"
      ],
      ["packet id 0 passes", "if (packetId === 0) throw", "if (packetId < 0) throw"]
    ]
  },
  "mqtt/TopicNames.ts": {
    tests: ["mqtt"],
    faults: [
      [
        "a topic a byte too long passes",
        "if (end - start > limits.topicBytesMax) {",
        "if (end - start > limits.topicBytesMax + 1) {"
      ],
      [
        "a topic of a level too many passes",
        "levels > limits.topicLevelsMax) {\n    throw new MqttError(",
        "levels > limits.topicLevelsMax + 1) {\n    throw new MqttError("
      ],
      ["a topic may hold +", "else if (byte === plus || byte === hash) {", "else if (byte === hash) {"],
      [
        "a topic's NUL passes",
        'else if (byte === 0) throw new MqttError(ReasonCode.MalformedPacket, "a topic',
        'else if (byte < 0) throw new MqttError(ReasonCode.MalformedPacket, "a topic'
      ],
      [
        "a string that is no UTF-8 passes",
        "if (bits >= 0x80) throwIfNotUtf8(bytes, start, end)\n}\n\n/** As `checkString`",
        "}\n\n/** As `checkString`"
      ],
      [
        "# may stand before the last level",
        "if (code === hash && end < filter.length) throw",
        "if (code === hash && end > filter.length) throw"
      ],
      ["a wildcard may share its level", "if (end - start > 1) throw", "if (end - start > 2) throw"],
      [
        "the cache of topics mixes up those of one length",
        "if (expected[index] !== bytes[start + index]) return false",
        ""
      ]
    ]
  },
  "mqtt/Properties.ts": {
    tests: ["mqtt"],
    faults: [
      ["a property may be there twice", "& bit) !== 0) throw", "& bit) > 1 << 30) throw"],
      [
        "one user property too many passes",
        "if (count > limits.userPropertiesMax) {",
        "if (count > limits.userPropertiesMax + 1) {"
      ],
      ["a property that has no place there passes", "if (!has(allowed, id)) throw notAllowed(id)", ""],
      ["topic alias 0 passes", "if (to.topicAlias === 0) throw", "if (to.topicAlias < 0) throw"],
      [
        "Receive Maximum 0 passes",
        "case P.ReceiveMaximum:\n      throwIfZero(reader.uint16(), id)",
        "case P.ReceiveMaximum:\n      reader.uint16()"
      ]
    ]
  },
  "mqtt/encode.ts": {
    tests: ["mqtt"],
    faults: [
      [
        "Session Present goes with a refusal",
        "version !== 3 && sessionPresent && code === 0",
        "version !== 3 && sessionPresent"
      ],
      ["NUL is sent", "if (value === undefined || fitsString(value)) return value", "if (value !== null) return value"],
      [
        "MQTT 3.1.1 gets MQTT 5's SUBACK codes",
        "if (version === 5 || code < subackFailure311) return byte(code)",
        "if (version !== 3) return byte(code)"
      ],
      ["MQTT 3.1 gets what is no granted QoS", "return version === 4 ? subackFailure311 : 0", "return subackFailure311"]
    ]
  },
  "mqtt/encodePublish.ts": {
    tests: ["mqtt"],
    faults: [
      ["RETAIN is not set", "(delivery.retain ? 1 : 0)", "0"],
      ["an alias is written where a packet id is", "behindTopic(packet) + (hasPacketId ? 2 : 0)", "behindTopic(packet)"]
    ]
  },
  "proxy/ProxyHeader.ts": {
    tests: ["proxy"],
    faults: [
      ["a PROXY line may be longer", "end + 2 > textBytesMax", "end > textBytesMax"],
      [
        "a binary PROXY header is read before it is whole",
        "if (bytes.length < fixedBytes + length) return undefined",
        "if (bytes.length < fixedBytes) return undefined"
      ],
      [
        "addresses are read where there is no room for them",
        "if (length < addressBytes.ipv4)",
        "if (length < addressBytes.ipv4 - 1)"
      ],
      ["the load balancer's own connection has a client's address", "if (told === command.local)", "if (told > 1)"]
    ]
  },
  "websocket/frames.ts": {
    tests: ["websocket"],
    faults: [
      ["a frame without a mask passes", "if ((second & maskBit) === 0) this", "if ((second & maskBit) < 0) this"],
      ["a mask begins anew with each chunk", "this.#maskAt = maskAt\n", "\n"],
      ["a control frame may be too long", "const controlBytesMax = 125", "const controlBytesMax = 127"],
      [
        "a message may begin within another",
        "if ((opcode === Opcode.Continuation) !== this.#isInMessage) {",
        "if (opcode === Opcode.Continuation && !this.#isInMessage) {"
      ],
      ["126 bytes go with a short length", "if (payloadBytes < 126) return", "if (payloadBytes <= 126) return"]
    ]
  },
  "kafka/Splitter.ts": {
    tests: ["kafka/Splitter.test.ts"],
    faults: [
      [
        "a message a byte over the limit passes",
        "if (size > this.sizeMax) throw",
        "if (size > this.sizeMax + 1) throw"
      ],
      ["a message of no bytes passes", "if (size <= 0) throw", "if (size < 0) throw"],
      ["what a reader leaves is taken", "!this.#emit(onMessage)) break", "!this.#emit(onMessage)) continue"]
    ]
  },
  "kafka/Wire.ts": {
    tests: ["kafka"],
    faults: [
      [
        "a byte goes into the slab before the one that has room for it",
        "    const at = this.#grow(1)\n    this.#buffer[at] = value\n  }\n\n  int16",
        "    this.#buffer[this.#grow(1)] = value\n  }\n\n  int16"
      ],
      [
        "a field may end a byte behind its message",
        "if (length > this.#bytes.length - at) {",
        "if (length > this.#bytes.length - at + 1) {"
      ],
      [
        "an array may be as long as it says",
        "if (count * elementBytesMin > this.remaining) {",
        "if (count * elementBytesMin < 0) {"
      ],
      [
        "arrays may have any number of elements in all",
        "count > arrayElementsMax || count > this.#elementsLeft",
        "count > arrayElementsMax"
      ],
      ["an unsigned varint over 32 bits passes", "if (last > 0x0f) throw", "if (last > 0x1f) throw"],
      [
        "what outlives a message keeps it alive",
        "return new Uint8Array(this.view(length))",
        "return this.view(length)"
      ],
      [
        "an int64 above 2^53 is another number",
        "return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)",
        "return value"
      ],
      ["a string that is no UTF-8 passes", "{ fatal: true, ignoreBOM: true }", "{ fatal: false, ignoreBOM: true }"],
      ["a string loses its byte order mark", "{ fatal: true, ignoreBOM: true }", "{ fatal: true, ignoreBOM: false }"],
      ["bytes that are referred to are not counted", "this.#sealedBytes += bytes.length\n", "\n"]
    ]
  },
  "kafka/Header.ts": {
    tests: ["kafka"],
    faults: [
      ["a version above the newest passes", "apiVersion > api.versions[1]) {", "apiVersion > api.versions[1] + 1) {"],
      [
        "ApiVersions has tagged fields in its header (KIP-511)",
        "return api.key !== ApiVersions.key && isFlexible",
        "return isFlexible"
      ],
      ["tagged fields of a header are not passed over", "(r.uvarint())", "(0 * r.uvarint())"]
    ]
  },
  "kafka/compile.ts": {
    tests: ["kafka"],
    faults: [
      [
        "null passes where it is not allowed",
        "return length === -1 ? (nullable ? null : rejectNull()) : r.utf8(length)",
        "return length === -1 ? null : r.utf8(length)"
      ],
      [
        "a compact length is not one less",
        "return flexible ? r.uvarint() - 1 : r.int32()",
        "return flexible ? r.uvarint() : r.int32()"
      ]
    ]
  }
})

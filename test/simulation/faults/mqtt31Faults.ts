import type { Publish } from "@logbrook/protocols/mqtt/Packet"
import { Incoming } from "@logbrook/server/mqtt/Incoming"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import { inMethod, type PlantedFault } from "./Hooks.ts"

const connackByte = 0x20
const subackByte = 0x90
const failure311 = 0x80

/** In what MQTT 3.1 has otherwise than 3.1.1. */
export const mqtt31Faults: ReadonlyArray<PlantedFault> = [
  inMethod("a client of MQTT 3.1 is told of its session", MqttConnection.prototype, "answer", (original) => {
    return (self: MqttConnection, packet: Uint8Array) => {
      if (self.version === 3 && packet[0] === connackByte) packet[2] = 1
      return original(self, packet)
    }
  }),
  inMethod("a client of MQTT 3.1 is refused a filter by its SUBACK", MqttConnection.prototype, "answer", (original) => {
    return (self: MqttConnection, packet: Uint8Array) => {
      if (self.version === 3 && packet[0] === subackByte) packet[packet.length - 1] = failure311
      return original(self, packet)
    }
  }),
  inMethod("what comes again on its connection is not acknowledged", Incoming.prototype, "publish", (original) => {
    const seen = new WeakMap<Incoming, Set<number>>()
    return (self: Incoming, packet: Publish, nowMs: number) => {
      const ids = seen.get(self) ?? new Set<number>()
      seen.set(self, ids)
      if (packet.qos > 0 && packet.dup && ids.has(packet.packetId)) return undefined
      ids.add(packet.packetId)
      return original(self, packet, nowMs)
    }
  })
]

import type { LoadShape } from "../load/MqttLoad.ts"

const shape = (payloadBytes: number, qos: 0 | 1, refillAt = 1): LoadShape => {
  const acks = qos === 1 ? { messagesPerAck: 1, window: 50 } : { messagesPerAck: 100, window: 2 }
  return { connections: 200, payloadBytes, refillAt, ...acks }
}

/** The loads of MQTT, and how many times the rate of Mosquitto and Aedes is asked for. */
export const mqttShapes: ReadonlyMap<
  string,
  { readonly shape: LoadShape; readonly mosquitto: number; readonly aedes: number }
> = new Map([
  ["qos1-100", { shape: shape(100, 1), mosquitto: 4, aedes: 1.5 }],
  ["qos0-100", { shape: shape(100, 0), mosquitto: 3, aedes: 2 }],
  ["qos1-1k", { shape: shape(1000, 1), mosquitto: 2, aedes: 0.8 }],
  ["qos0-1k", { shape: shape(1000, 0), mosquitto: 2, aedes: 0.8 }]
])

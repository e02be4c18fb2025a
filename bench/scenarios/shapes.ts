import type { LoadShape } from "../load/MqttLoad.ts"

export interface MqttLoadAsked {
  readonly shape: LoadShape
  /** Whether one client gets all messages meanwhile: by Kafka from Logbrook, by a subscription from the others. */
  readonly isRead: boolean
  /** How many times the rate of these is asked for. */
  readonly mosquitto: number
  readonly aedes: number
}

const shape = (payloadBytes: number, qos: 0 | 1): LoadShape => {
  const acks = qos === 1 ? { messagesPerAck: 1, window: 50 } : { messagesPerAck: 100, window: 2 }
  return { connections: 200, payloadBytes, refillAt: 1, ...acks }
}

/** The loads of MQTT that nobody reads, of clients that send again as soon as they may. */
export const mqttShapes: ReadonlyMap<string, MqttLoadAsked> = new Map([
  ["qos1-100", { shape: shape(100, 1), isRead: false, mosquitto: 4, aedes: 1.5 }],
  ["qos0-100", { shape: shape(100, 0), isRead: false, mosquitto: 3, aedes: 2 }],
  ["qos1-1k", { shape: shape(1000, 1), isRead: false, mosquitto: 2, aedes: 0.8 }],
  ["qos0-1k", { shape: shape(1000, 0), isRead: false, mosquitto: 2, aedes: 0.8 }]
])

/** Clients wait for half of what they have sent before they send again; at QoS 0 all of them do. */
const inBursts = (asked: MqttLoadAsked): MqttLoadAsked => ({
  ...asked,
  shape: { ...asked.shape, refillAt: asked.shape.window / 2 }
})

/** A fleet: each connection sends one message of QoS 1 and waits for its answer before the next. */
const fleet = (connections: number): MqttLoadAsked => ({
  shape: { connections, payloadBytes: 100, refillAt: 1, messagesPerAck: 1, window: 1 },
  isRead: false,
  mosquitto: 0.6,
  aedes: 1
})

export const fleets: ReadonlyMap<string, MqttLoadAsked> = new Map([
  ["fleet-1k", fleet(1000)],
  ["fleet-6k", fleet(6000)]
])

/** The loads above, those of QoS 1 in bursts, all with a reader, and fleets. */
export const mqttLoads: ReadonlyMap<string, MqttLoadAsked> = new Map([
  ...mqttShapes,
  ...Array.from(mqttShapes)
    .filter(([, { shape }]) => shape.messagesPerAck === 1)
    .map(([name, asked]): [string, MqttLoadAsked] => [`${name}-bursts`, inBursts(asked)]),
  ...Array.from(mqttShapes, ([name, asked]): [string, MqttLoadAsked] => [`${name}-read`, { ...asked, isRead: true }]),
  ...fleets
])

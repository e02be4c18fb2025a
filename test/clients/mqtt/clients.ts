import * as path from "node:path"

/** 4 is MQTT 3.1.1, as its CONNECT has it. */
export type Version = 4 | 5

export interface Client {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly versions: ReadonlyArray<Version>
  /** By feature, why the library cannot do it. */
  readonly lacks?: Readonly<Record<string, string>>
  /** What else is to be said of the library. */
  readonly notes?: ReadonlyArray<string>
  /** The library does not tell whether CONNACK told of a session. */
  readonly hidesSessionPresent?: boolean
  /**
   * The library forgets the packet ids of QoS 2 messages that it received when their connection ends. What is sent again comes `twice`;
   * or the library is `stuck`: it takes the PUBREL for an error, at every connection anew.
   */
  readonly receivedQos2OverEnd?: "twice" | "stuck"
}

const programs = path.join(import.meta.dirname, "programs")
export const cache = path.join(import.meta.dirname, "../.cache")
const python = (file: string) => ({
  command: path.join(cache, "python/mqtt/bin/python"),
  args: ["-B", path.join(programs, file)]
})
const node = (file: string) => ({ command: process.execPath, args: [path.join(programs, file)] })
const java = path.join(cache, "mqtt/java")
const both = [4, 5] as const

export const clients: ReadonlyArray<Client> = [
  { name: "mqtt.js", ...node("with_mqttjs.ts"), versions: both },
  {
    name: "mosquitto_sub, _pub",
    ...node("with_mosquitto.ts"),
    versions: both,
    hidesSessionPresent: true,
    notes: [
      "mosquitto_sub does not tell whether there was a session; that its messages come shows it",
      "mosquitto_sub ends when an MQTT 5 server says that it stops, and is run again then"
    ],
    lacks: {
      "messages under way over kill -9": "mosquitto_pub ends with its connection, and keeps nothing to be sent again",
      "topic aliases to the client": "mosquitto_sub takes a message without topic for an error",
      WebSocket: "version 2.0 speaks TCP and TLS only"
    }
  },
  {
    name: "Node-RED",
    ...node("with_node_red.ts"),
    versions: both,
    hidesSessionPresent: true,
    notes: ["a flow does not see whether there was a session; that its messages come shows it"],
    lacks: {
      "topic aliases to the client": "its broker node announces no Topic Alias Maximum",
      "subscription identifiers": "it gives and reads them itself, and shows flows none",
      "shared subscriptions of a stream":
        "it gives a flow what has a topic that its filter matches, and records have the topics that they were published with"
    }
  },
  { name: "paho-mqtt", ...python("with_paho.py"), versions: both },
  {
    name: "aiomqtt",
    ...python("with_aiomqtt.py"),
    versions: both,
    hidesSessionPresent: true,
    notes: ["an application does not see whether there was a session; that its messages come shows it"],
    lacks: { "topic aliases to the client": "it refuses a message whose topic is an alias" }
  },
  {
    name: "gmqtt",
    ...python("with_gmqtt.py"),
    versions: both,
    receivedQos2OverEnd: "twice",
    notes: [
      "it keeps no packet ids of QoS 2 messages that it received: what is under way when the server is killed may come twice"
    ],
    lacks: { WebSocket: "it speaks TCP and TLS only" }
  },
  {
    name: "Paho C",
    command: path.join(cache, "mqtt/paho-c"),
    args: [],
    versions: both,
    lacks: {
      WebSocket:
        "it takes the first packet of a WebSocket frame, and those behind it only when more comes, where a frame may have several [MQTT-6.0.0-4]"
    }
  },
  {
    name: "autopaho",
    command: path.join(cache, "mqtt/autopaho"),
    args: [],
    versions: [5],
    notes: ["it is a client of MQTT 5 only"]
  },
  {
    name: "HiveMQ",
    command: "java",
    args: [
      "-XX:TieredStopAtLevel=1",
      "-XX:+UseSerialGC",
      "-cp",
      [java, path.join(java, "*")].join(path.delimiter),
      "Program"
    ],
    versions: both,
    lacks: { "subscription identifiers": "it gives and reads them itself, and has no API for them" }
  },
  {
    name: "rumqttc",
    command: path.join(cache, "mqtt/rumqttc"),
    args: [],
    versions: both,
    receivedQos2OverEnd: "stuck",
    notes: [
      "it forgets what it received of QoS 2 when the connection ends, and then ends every connection in which the PUBREL comes (bytebeamio/rumqtt#664): what is under way when the server is killed is received with QoS 1"
    ]
  }
]

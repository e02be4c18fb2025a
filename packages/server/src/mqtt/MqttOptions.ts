import type { QoS } from "@logbrook/actors/session/SessionProtocol"

/** Whether clients that connect are sent to another server: for now (0x9C), or for good (0x9D). */
export type Redirect = "no" | "temporarily" | "permanently"

/** The parts of MQTT that are the operator's to choose: settings under `mqtt.`. */
export interface MqttOptions {
  /** The longest keep alive of an MQTT 5 client in seconds, which CONNACK tells it as Server Keep Alive; 0: any, and none at all. */
  readonly keepAliveSMax: number
  /** The highest QoS of what clients publish. */
  readonly maximumQos: QoS
  /** Whether clients may publish retained messages, and get those that are there. */
  readonly retainAvailable: boolean
  /** The topic under which each client that asks for Response Information is given one of its own; null: none. */
  readonly responsePrefix: string | null
  /** The server that clients are told to use instead; null: none. */
  readonly serverReference: string | null
  readonly redirect: Redirect
  /** The time between two publications of what has changed under $SYS, in seconds; 0: nothing is published there. */
  readonly sysIntervalS: number
}

export const defaultMqttOptions: MqttOptions = {
  keepAliveSMax: 0,
  maximumQos: 2,
  retainAvailable: true,
  responsePrefix: null,
  serverReference: null,
  redirect: "no",
  sysIntervalS: 10
}

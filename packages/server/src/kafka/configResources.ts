import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { refused, type Failure } from "./errors.ts"

/** Kafka's numbers of what has settings (ConfigResource.Type). */
export const configResources = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const

/** Kafka's numbers of where a setting comes from (ConfigSource). */
export const configSources = { topic: 1, staticBroker: 4, byDefault: 5 } as const

/** A resource of a request. */
export interface ConfigResource {
  readonly resourceType: number
  readonly resourceName: string
}

/** Undefined: the name is this node's, or empty, as Kafka names the defaults of all nodes. */
export const otherNode = (nodeId: number, name: string): Failure | undefined =>
  name === "" || name === String(nodeId)
    ? undefined
    : refused(
        KafkaError.INVALID_REQUEST,
        `Unexpected broker id, expected ${nodeId} or empty string, but received ${name.slice(0, 200)}`
      )

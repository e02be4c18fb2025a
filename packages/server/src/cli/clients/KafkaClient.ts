import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { CliError, exitCodes } from "../CliError.ts"
import type { Listener } from "./connecting.ts"
import { KafkaConnection } from "./KafkaConnection.ts"
import { kafkaError, throwUnlessNone } from "./kafkaErrors.ts"

const metadataVersion = 9
const listOffsetsVersion = 6
/** The oldest form, of one key. */
const findCoordinatorVersion = 3

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** `orders-0` */
export const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

/** The special timestamps of ListOffsets. */
export const logEnd = -1
export const logStart = -2

/** A Kafka cluster: connections to the nodes that lead the partitions asked for. */
export class KafkaClient {
  readonly #listener: Listener
  readonly #timeoutMs: number
  readonly #first: KafkaConnection
  readonly #connections = new Map<string, Promise<KafkaConnection>>()
  readonly #nodes = new Map<number, Promise<KafkaConnection>>()
  readonly #leaders = new Map<string, number>()

  private constructor(listener: Listener, timeoutMs: number, first: KafkaConnection) {
    this.#listener = listener
    this.#timeoutMs = timeoutMs
    this.#first = first
  }

  static async connect(listener: Listener, timeoutMs: number): Promise<KafkaClient> {
    return new KafkaClient(listener, timeoutMs, await KafkaConnection.connect(listener, timeoutMs))
  }

  /** Rejects when the first connection ends, but by `close`. */
  get ended(): Promise<never> {
    return this.#first.ended
  }

  /** How many partitions a topic has. Rejects with "E_UNKNOWN_TOPIC_OR_PARTITION" and the like. */
  async partitionsOf(topic: string): Promise<number> {
    const asked = { topics: [{ name: topic }], allowAutoTopicCreation: false }
    const { brokers, topics } = await this.#first.request(Metadata, metadataVersion, asked)
    const found = topics[0]
    throwUnlessNone(topic, found?.errorCode ?? KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
    for (const { errorCode, partitionIndex, leaderId } of found!.partitions) {
      throwUnlessNone(nameOf({ topic, partition: partitionIndex }), errorCode)
      this.#leaders.set(nameOf({ topic, partition: partitionIndex }), leaderId)
    }
    for (const { nodeId, host, port } of brokers) {
      // A single node is the one that was reached, whatever address it advertises.
      if (brokers.length === 1) this.#nodes.set(nodeId, Promise.resolve(this.#first))
      else if (!this.#nodes.has(nodeId)) this.#nodes.set(nodeId, this.#at(host, port))
    }
    return found!.partitions.length
  }

  /** The connection to the leader of a partition of a topic that `partitionsOf` was asked for. */
  leaderOf(place: TopicPartition): Promise<KafkaConnection> {
    const leader = this.#nodes.get(this.#leaders.get(nameOf(place)) ?? -1)
    if (leader !== undefined) return leader
    return Promise.reject(kafkaError(nameOf(place), KafkaError.LEADER_NOT_AVAILABLE))
  }

  async coordinatorOf(groupId: string): Promise<KafkaConnection> {
    const asked = { key: groupId, keyType: 0 }
    const found = await this.#first.request(FindCoordinator, findCoordinatorVersion, asked)
    throwUnlessNone(`group ${groupId}`, found.errorCode, found.errorMessage)
    return this.#nodes.get(found.nodeId) ?? this.#at(found.host, found.port)
  }

  /** The offset for a time of each partition, in order: `logStart`, `logEnd`, or Unix ms; -1: no record is as young. */
  async offsetsFor(places: ReadonlyArray<TopicPartition>, timestamp: number): Promise<ReadonlyArray<number>> {
    return Promise.all(
      places.map(async ({ topic, partition }) => {
        const leader = await this.leaderOf({ topic, partition })
        const { topics } = await leader.request(ListOffsets, listOffsetsVersion, {
          replicaId: -1,
          // Up to what transactions have left open.
          isolationLevel: 1,
          topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }]
        })
        const found = topics[0]?.partitions[0]
        if (found === undefined) throw noAnswer(nameOf({ topic, partition }))
        throwUnlessNone(nameOf({ topic, partition }), found.errorCode)
        return found.offset
      })
    )
  }

  close(): void {
    this.#first.close()
    for (const connection of this.#connections.values()) {
      connection.then((open) => open.close()).catch(() => undefined)
    }
  }

  #at(host: string, port: number): Promise<KafkaConnection> {
    const place = `${host}:${port}`
    const open =
      this.#connections.get(place) ?? KafkaConnection.connect({ ...this.#listener, host, port }, this.#timeoutMs)
    open.catch(() => undefined)
    this.#connections.set(place, open)
    return open
  }
}

export const noAnswer = (what: string): CliError =>
  new CliError(exitCodes.failure, "E_NO_KAFKA", `the server's answer says nothing of ${what}`)

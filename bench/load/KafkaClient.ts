import { decodeResponseHeader, encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"

import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import type * as net from "node:net"
import { openedEvent, openSocket } from "./openSocket.ts"

const prefixBytes = 4
const readBytes = 1024 * 1024
const fetchVersion = 12
const listOffsetsVersion = 5
const apiVersionsVersion = 3
const latest = -1

const closedByServer = (): Error => new Error("the connection was closed by the server")

/** One connection, one request at a time. A response's record bytes are views that the next request overwrites. */
export class KafkaClient {
  readonly #socket: net.Socket
  #response = Buffer.allocUnsafeSlow(readBytes)
  #have = 0
  #correlationId = 0
  #answered: PromiseWithResolvers<Buffer> | undefined

  private constructor(port: number, isTls: boolean) {
    const buffer = Buffer.allocUnsafeSlow(readBytes)
    this.#socket = openSocket(port, isTls, buffer, (read, bytes) => this.#took(read, bytes))
    const failed = (error: Error) => this.#answered?.reject(error)
    this.#socket.on("error", failed)
    this.#socket.on("close", () => failed(closedByServer()))
  }

  static async connect(port: number, isTls = false): Promise<KafkaClient> {
    const client = new KafkaClient(port, isTls)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    client.#socket.once(openedEvent(isTls), resolve)
    client.#socket.once("error", reject)
    await promise
    return client
  }

  async request<A extends AnyApi>(api: A, version: number, value: RequestInputOf<A>): Promise<ResponseOf<A>> {
    // A socket that has been closed says nothing of what is written to it.
    if (this.#socket.destroyed) throw closedByServer()
    const answered = (this.#answered = Promise.withResolvers<Buffer>())
    this.#have = 0
    const header = { correlationId: ++this.#correlationId, clientId: "bench" }
    for (const chunk of encodeWholeRequest(api, version, header, value)) this.#socket.write(chunk)
    const response = await answered.promise
    const { bodyOffset } = decodeResponseHeader(response, api, version)
    return api.decodeResponse(response, version, bodyOffset) as ResponseOf<A>
  }

  /** Tells the server what software this is (KIP-511). */
  async identify(clientSoftwareName: string): Promise<void> {
    await this.request(ApiVersions, apiVersionsVersion, { clientSoftwareName, clientSoftwareVersion: "1" })
  }

  #took(chunk: Buffer, bytes: number): void {
    if (this.#have + bytes > this.#response.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#response.length * 2, this.#have + bytes))
      this.#response.copy(grown, 0, 0, this.#have)
      this.#response = grown
    }
    chunk.copy(this.#response, this.#have, 0, bytes)
    this.#have += bytes
    const size = this.#have < prefixBytes ? Infinity : this.#response.readInt32BE(0)
    if (this.#have === prefixBytes + size) this.#answered?.resolve(this.#response.subarray(prefixBytes, this.#have))
  }

  /** Record batches of each partition that has any, from its offset on. Throws at a partition's error. */
  async fetch(
    topic: string,
    offsets: ReadonlyMap<number, number>,
    options: { readonly maxWaitMs: number; readonly partitionBytesMax: number; readonly bytesMax: number }
  ): Promise<Array<{ readonly partition: number; readonly records: Uint8Array }>> {
    const partitions = Array.from(offsets, ([partition, fetchOffset]) => ({
      partition,
      fetchOffset,
      partitionMaxBytes: options.partitionBytesMax
    }))
    const { errorCode, responses } = await this.request(Fetch, fetchVersion, {
      maxWaitMs: options.maxWaitMs,
      minBytes: 1,
      maxBytes: options.bytesMax,
      topics: [{ topic, partitions }],
      forgottenTopicsData: []
    })
    if (errorCode !== 0) throw new Error(`Fetch of ${topic}: error ${errorCode}`)
    return responses.flatMap((one) =>
      one.partitions.flatMap(({ partitionIndex, errorCode, records }) => {
        if (errorCode !== 0) throw new Error(`Fetch of ${topic}-${partitionIndex}: error ${errorCode}`)
        return records === null || records.length === 0 ? [] : [{ partition: partitionIndex, records }]
      })
    )
  }

  /** The high watermark of every partition. */
  async highWatermarks(topic: string, partitions: number): Promise<Array<number>> {
    const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: latest }))
    const { topics } = await this.request(ListOffsets, listOffsetsVersion, {
      replicaId: -1,
      topics: [{ name: topic, partitions: asked }]
    })
    const marks = Array.from({ length: partitions }, () => 0)
    for (const { partitionIndex, errorCode, offset } of topics[0]?.partitions ?? []) {
      if (errorCode !== 0) throw new Error(`ListOffsets of ${topic}-${partitionIndex}: error ${errorCode}`)
      marks[partitionIndex] = offset
    }
    return marks
  }

  close(): void {
    this.#answered = undefined
    this.#socket.destroy()
  }
}

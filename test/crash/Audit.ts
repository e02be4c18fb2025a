import { createHash, type Hash } from "node:crypto"
import type { KafkaRecord } from "../support/kafkaRecord.ts"
import { kcatRead } from "../support/kcat.ts"
import type { Acknowledged } from "./KafkaProducer.ts"
import type { Device } from "./MqttPublisher.ts"

/** A message id, and what is told of it: `device n …`. */
const idOf = ({ value }: KafkaRecord): { readonly device: string; readonly n: number } => {
  const text = value!.toString("latin1", 0, 64)
  const [device, n] = text.split(" ") as [string, string]
  return { device, n: Number(n) }
}

/** To prove that the audit can fail, one acknowledged entry of a kind is left out of what was read. */
export type Loss = "qos1" | "qos2" | "produce" | "commit"

/**
 * Reads on from where it was after each restart, and compares with what clients were told. A stream's partition is read
 * once as it grows and once as a whole at the end: what was once read must never change.
 */
export class Audit {
  readonly faults: Array<string> = []
  duplicates = 0
  readonly #brokers: string
  /** By `stream/partition`. */
  readonly #nextOffset = new Map<string, number>()
  readonly #hashes = new Map<string, Hash>()
  /** By device: messages below it are stored. */
  readonly #stored = new Map<string, number>()
  /** By partition, the ids in the order of their offsets. */
  readonly #orders = new Map<number, Array<string>>()
  readonly #orderIds = new Set<string>()
  #loss: Loss | undefined

  constructor(brokers: string, loss: Loss | undefined) {
    this.#brokers = brokers
    this.#loss = loss
  }

  get records(): number {
    return [...this.#nextOffset.values()].reduce((sum, next) => sum + next, 0)
  }

  /** Once, if this is the loss to pretend. */
  #isLost(kind: Loss): boolean {
    if (this.#loss !== kind) return false
    this.#loss = undefined
    return true
  }

  async #readOn(stream: string, partitions: number, account: (record: KafkaRecord) => void): Promise<void> {
    const read = async (partition: number): Promise<void> => {
      const place = `${stream}/${partition}`
      const offset = this.#nextOffset.get(place) ?? 0
      const records = await kcatRead(this.#brokers, stream, { partition, offset })
      const hash = this.#hashes.get(place) ?? createHash("sha256")
      for (const [i, record] of records.entries()) {
        if (record.offset !== offset + i)
          this.faults.push(`${place}: offset ${record.offset} where ${offset + i} was next`)
        addTo(hash, record)
        account(record)
      }
      this.#hashes.set(place, hash)
      this.#nextOffset.set(place, offset + records.length)
    }
    await Promise.all(Array.from({ length: partitions }, (_, partition) => read(partition)))
  }

  /** Devices' messages: all that were acknowledged before the call are there, in order; those of QoS 2 once. */
  async devices(stream: string, partitions: number, devices: ReadonlyArray<Device>): Promise<void> {
    const acknowledged = devices.map((device) => device.acknowledged)
    const byName = new Map(devices.map((device) => [device.clientId, device]))
    await this.#readOn(stream, partitions, (record) => {
      const { device: name, n } = idOf(record)
      const device = byName.get(name)
      const next = this.#stored.get(name) ?? 0
      const place = `${stream}/${record.partition} at ${record.offset}`
      if (device === undefined || record.key?.toString("utf8") !== name)
        this.faults.push(`${place}: nobody sent ${name} ${n}`)
      else if (n < device.acknowledged && this.#isLost(`qos${device.qos}`)) return
      else if (n === next) this.#stored.set(name, n + 1)
      else if (n > next) this.faults.push(`${place}: ${name} ${n} where ${next} was next`)
      else if (device.qos === 2 || !device.resent.has(n)) this.faults.push(`${place}: ${name} ${n} is there twice`)
      else this.duplicates++
    })
    devices.forEach(({ clientId, faults }, i) => {
      const stored = this.#stored.get(clientId) ?? 0
      if (stored < acknowledged[i]!) this.faults.push(`${clientId}: ${acknowledged[i]} acknowledged, ${stored} stored`)
      this.faults.push(...faults.splice(0).map((fault) => `${clientId}: ${fault}`))
    })
  }

  /** What a Kafka producer was told: every record at its offset, none twice. Takes the acknowledgements out of the list. */
  async produced(stream: string, partitions: number, acknowledged: Array<Acknowledged>): Promise<void> {
    const told = acknowledged.splice(0)
    await this.#readOn(stream, partitions, ({ partition, offset, key }) => {
      const id = key!.toString("utf8")
      if (this.#orderIds.has(id)) this.faults.push(`${stream}/${partition} at ${offset}: ${id} is there twice`)
      this.#orderIds.add(id)
      const ids = this.#orders.get(partition) ?? []
      this.#orders.set(partition, ids)
      ids.push(id)
    })
    for (const { partition, baseOffset, ids } of told) {
      ids.forEach((id, i) => {
        const found = this.#isLost("produce") ? undefined : this.#orders.get(partition)?.[baseOffset + i]
        if (found !== id)
          this.faults.push(`${stream}/${partition} at ${baseOffset + i}: ${found} where ${id} was acknowledged`)
      })
    }
  }

  /** `committed`: what the group says; it is neither behind what was acknowledged nor ahead of what was tried. */
  committed(
    committed: ReadonlyMap<number, number>,
    acknowledged: ReadonlyMap<number, number>,
    tried: ReadonlyMap<number, number>
  ): void {
    for (const [partition, offset] of acknowledged) {
      const found = this.#isLost("commit") ? -1 : (committed.get(partition) ?? -1)
      if (found < offset || found > tried.get(partition)!) {
        this.faults.push(
          `committed ${found} in partition ${partition}: ${offset} acknowledged, ${tried.get(partition)} tried`
        )
      }
    }
  }

  /** The whole partition again, as it was read piece by piece. */
  async whole(stream: string, partitions: number): Promise<void> {
    for (let partition = 0; partition < partitions; partition++) {
      const place = `${stream}/${partition}`
      const hash = createHash("sha256")
      const records = await kcatRead(this.#brokers, stream, { partition })
      for (const record of records) addTo(hash, record)
      if (records.length !== (this.#nextOffset.get(place) ?? 0)) this.faults.push(`${place}: another number of records`)
      if (hash.digest("hex") !== this.#hashes.get(place)?.copy().digest("hex"))
        this.faults.push(`${place}: read otherwise than before`)
    }
  }
}

const addTo = (hash: Hash, { offset, timestampMs, key, value, headers }: KafkaRecord): void => {
  hash.update(`${offset} ${timestampMs} ${key?.length} ${value?.length} ${headers?.join()}`)
  hash.update(key!)
  hash.update(value!)
}

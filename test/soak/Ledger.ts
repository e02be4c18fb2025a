import type { Device } from "../crash/MqttPublisher.ts"
import type { Acknowledged } from "../crash/KafkaProducer.ts"

/** What was read of what was acknowledged, in memory that does not grow with the length of the run. */
export class Ledger {
  readonly faults: Array<string> = []
  records = 0
  duplicates = 0
  /** By device: messages below it are stored. */
  readonly #stored = new Map<string, number>()
  readonly #devices: ReadonlyMap<string, Device>
  /** By `partition:offset`, ids of records that no acknowledgement has told of yet. */
  readonly #unclaimed = new Map<string, string>()
  #unread: Array<Acknowledged> = []
  readonly #read = new Map<number, number>()

  constructor(devices: ReadonlyArray<Device>) {
    this.#devices = new Map(devices.map((device) => [device.clientId, device]))
  }

  /** A record of the devices' stream, in the order of its partition. */
  reading(value: string): void {
    this.records++
    const [name, number] = value.split(" ", 2) as [string, string]
    const n = Number(number)
    const device = this.#devices.get(name)
    const next = this.#stored.get(name) ?? 0
    if (device === undefined) this.faults.push(`nobody sent ${name} ${n}`)
    else if (n === next) this.#stored.set(name, n + 1)
    else if (n > next) this.faults.push(`${name} ${n} is stored where ${next} was next`)
    else if (device.qos === 2 || !device.resent.has(n)) this.faults.push(`${name} ${n} is stored twice`)
    else this.duplicates++
  }

  /** A record of the producers' stream. */
  order(partition: number, offset: number, id: string): void {
    this.records++
    this.#unclaimed.set(`${partition}:${offset}`, id)
    this.#read.set(partition, offset + 1)
  }

  /** What producers were told; what was not read yet waits for the next call. */
  orders(told: ReadonlyArray<Acknowledged>): void {
    this.#unread = [...this.#unread, ...told].filter((each) => !this.#claim(each))
  }

  #claim({ partition, baseOffset, ids }: Acknowledged): boolean {
    if ((this.#read.get(partition) ?? 0) < baseOffset + ids.length) return false
    for (const [i, id] of ids.entries()) {
      const place = `${partition}:${baseOffset + i}`
      const found = this.#unclaimed.get(place)
      this.#unclaimed.delete(place)
      if (found !== id) this.faults.push(`orders/${place}: ${found} where ${id} was acknowledged`)
    }
    return true
  }

  /** At the end, when everything was read. `givenUp`: batches of which nobody knows what became. */
  close(givenUp: number): void {
    for (const { clientId, sent, acknowledged, faults } of this.#devices.values()) {
      const stored = this.#stored.get(clientId) ?? 0
      if (stored < acknowledged) this.faults.push(`${clientId}: ${acknowledged} acknowledged, ${stored} stored`)
      if (sent !== acknowledged) this.faults.push(`${clientId}: ${sent} sent, ${acknowledged} acknowledged`)
      this.faults.push(...faults.map((fault) => `${clientId}: ${fault}`))
    }
    if (this.#unread.length > 0) this.faults.push(`${this.#unread.length} acknowledged batches cannot be read`)
    if (givenUp === 0 && this.#unclaimed.size > 0) {
      this.faults.push(`${this.#unclaimed.size} records that no producer was told of`)
    }
  }
}

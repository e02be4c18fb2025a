import { MqttClient } from "./MqttClient.ts"

/** The numbers that a call adds: from `from` on, below `to`. */
export interface Growth {
  readonly port: number
  readonly from: number
  readonly to: number
}

const atOnce = 100
const filtersPerConnection = 100
const filtersPerPacket = 50
const retainedPayload = Buffer.alloc(100, 120)
/** Of the topics of retained messages: so many have the same parent, and match one filter. */
export const retainedPerParent = 10

const subscribers: Array<MqttClient> = []

/** `one` for every number, `atOnce` of them at a time. */
const each = async ({ from, to }: Growth, stride: number, one: (n: number) => Promise<void>): Promise<void> => {
  let next = from
  const run = async (): Promise<void> => {
    while (next < to) {
      const n = next
      next += stride
      await one(n)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, run))
}

/** Sessions that have subscribed to topics of their own, one filter of three levels by default, and are not connected. */
export const addSessions = (growth: Growth & { readonly filtersEach?: number }): Promise<void> =>
  each(growth, 1, async (n) => {
    const client = await MqttClient.connect(growth.port, `durable-${n}`, false)
    const filters = [`inbox/${n}/+`]
    for (let at = 1; at < (growth.filtersEach ?? 1); at++) filters.push(`inbox/${n}/topic${at}`)
    await client.subscribe(filters, 1)
    await client.disconnect()
  })

/** Filters with a wildcard beside the load's topics that match none of them, on connections that stay. */
export const addSubscriptions = (growth: Growth): Promise<void> =>
  each(growth, filtersPerConnection, async (first) => {
    const client = await MqttClient.connect(growth.port, `subscriber-${first}`, true)
    subscribers.push(client)
    const end = Math.min(first + filtersPerConnection, growth.to)
    for (let n = first; n < end; n += filtersPerPacket) {
      const filters = Array.from({ length: Math.min(filtersPerPacket, end - n) }, (_, at) => `sensors/+/other${n + at}`)
      await client.subscribe(filters, 0)
    }
  })

export const endSubscriptions = async (): Promise<void> => {
  await Promise.all(subscribers.splice(0).map((client) => client.disconnect()))
}

export const addRetained = async (growth: Growth): Promise<void> => {
  const client = await MqttClient.connect(growth.port, "retainer", true)
  await each(growth, 1, (n) =>
    client.retain(`kept/${Math.floor(n / retainedPerParent)}/${n % retainedPerParent}`, retainedPayload)
  )
  await client.disconnect()
}

const subscribingConnections = 20

/** SUBSCRIBEs that get ten retained messages each, one after the other on every connection; tells how many there were. */
export const readRetained = async (options: {
  readonly port: number
  readonly subscribes: number
}): Promise<number> => {
  const perConnection = Math.ceil(options.subscribes / subscribingConnections)
  const one = async (_: unknown, connection: number): Promise<void> => {
    const client = await MqttClient.connect(options.port, `reader-${connection}`, true)
    for (let n = 0; n < perConnection; n++) {
      const { promise, resolve } = Promise.withResolvers<void>()
      client.received = 0
      client.onReceived = () => client.received === retainedPerParent && resolve()
      await client.subscribe(["kept/0/+"], 0)
      await promise
      await client.unsubscribe("kept/0/+")
    }
    await client.disconnect()
  }
  await Promise.all(Array.from({ length: subscribingConnections }, one))
  return perConnection * subscribingConnections
}

import { writeToDisk } from "./disk.ts"
import { IdleClients } from "./idleClients.ts"
import { fetchAll, stored } from "./kafkaFetch.ts"
import { produceAll } from "./kafkaProduce.ts"
import { createTopic } from "./kafkaTopics.ts"
import { MqttLoad, type LoadShape, type Slice } from "./MqttLoad.ts"
import { runPaced } from "./pacedLoad.ts"

const loads = new Map<string, MqttLoad>()
const idle = new Map<string, IdleClients>()

const loadOf = (name: string): MqttLoad => {
  const load = loads.get(name)
  if (load === undefined) throw new Error(`no load ${name} is connected`)
  return load
}

/** What the load process does for the conductor; arguments and results are plain data. */
export const calls = {
  connect: async (options: { readonly name: string; readonly port: number; readonly shape: LoadShape }) => {
    const load = new MqttLoad(options.shape)
    loads.set(options.name, load)
    await load.connect(options.port, options.name.replaceAll(/\W+/g, "-"))
  },
  slice: (options: { readonly name: string; readonly durationMs: number }): Promise<Slice> =>
    loadOf(options.name).slice(options.durationMs),
  disconnect: async (options: { readonly name: string }) => {
    loadOf(options.name).close()
    loads.delete(options.name)
  },
  idle: async (options: { readonly name: string; readonly port: number; readonly connections: number }) => {
    const clients = idle.get(options.name) ?? new IdleClients()
    idle.set(options.name, clients)
    await clients.growTo(options.port, options.connections)
    return clients.open
  },
  endIdle: async (options: { readonly name: string }) => {
    idle.get(options.name)?.close()
    idle.delete(options.name)
  },
  createTopic,
  fetchAll,
  produceAll,
  runPaced,
  stored: (options: { readonly port: number; readonly topic: string; readonly partitions: number }) =>
    stored(options.port, options.topic, options.partitions),
  writeToDisk
}

export type Calls = typeof calls

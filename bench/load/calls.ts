import { writeToDisk } from "./disk.ts"
import { FanOut, type FanOutShape } from "./FanOut.ts"
import { IdleClients } from "./idleClients.ts"
import { fetchAll, stored } from "./kafkaFetch.ts"
import { produceAll } from "./kafkaProduce.ts"
import { createTopic } from "./kafkaTopics.ts"
import { MqttLoad, type LoadShape, type Slice } from "./MqttLoad.ts"
import { PacedPublishers, runPaced, runSlice } from "./pacedLoad.ts"
import type { Reading } from "./Reader.ts"
import { addRetained, addSessions, addSubscriptions, endSubscriptions, readRetained } from "./population.ts"

const loads = new Map<string, MqttLoad>()
const fanOuts = new Map<string, FanOut>()
const idle = new Map<string, IdleClients>()
const paced = new Map<string, PacedPublishers>()

const loadOf = (name: string): MqttLoad => {
  const load = loads.get(name)
  if (load === undefined) throw new Error(`no load ${name} is connected`)
  return load
}

/** What the load process does for the conductor; arguments and results are plain data. */
export const calls = {
  connect: async (options: {
    readonly name: string
    readonly port: number
    readonly shape: LoadShape
    readonly reading?: Reading | undefined
  }) => {
    const load = new MqttLoad(options.shape)
    loads.set(options.name, load)
    await load.connect(options.port, options.name.replaceAll(/\W+/g, "-"), options.reading)
  },
  slice: (options: { readonly name: string; readonly durationMs: number }): Promise<Slice> =>
    loadOf(options.name).slice(options.durationMs),
  disconnect: async (options: { readonly name: string }) => {
    loadOf(options.name).close()
    loads.delete(options.name)
  },
  fanOut: async (options: { readonly name: string; readonly port: number; readonly shape: FanOutShape }) => {
    const fanOut = new FanOut(options.shape)
    fanOuts.set(options.name, fanOut)
    await fanOut.connect(options.port, options.name.replaceAll(/\W+/g, "-"))
  },
  fanOutSlice: (options: { readonly name: string; readonly durationMs: number }) => {
    const fanOut = fanOuts.get(options.name)
    if (fanOut === undefined) throw new Error(`no fan-out ${options.name} is connected`)
    return fanOut.slice(options.durationMs)
  },
  endFanOut: async (options: { readonly name: string }) => {
    fanOuts.get(options.name)?.close()
    fanOuts.delete(options.name)
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
  /** Connections that publish when `pacedSlice` says so; `topicGroups` first levels in turn, if there are more than one. */
  growPaced: async (options: {
    readonly name: string
    readonly port: number
    readonly connections: number
    readonly payloadBytes: number
    readonly topicGroups: number
  }) => {
    const { topicGroups } = options
    const topicOf = (n: number) => `sensors${topicGroups > 1 ? n % topicGroups : ""}/device${n}/data`
    const publishers = paced.get(options.name) ?? new PacedPublishers(options.payloadBytes, topicOf)
    paced.set(options.name, publishers)
    await publishers.growTo(options.port, options.connections)
  },
  pacedSlice: (options: { readonly name: string; readonly perSecond: number; readonly durationMs: number }) => {
    const publishers = paced.get(options.name)
    if (publishers === undefined) throw new Error(`no paced load ${options.name} is connected`)
    return runSlice(publishers, options)
  },
  endPaced: (options: { readonly name: string }) => {
    paced.get(options.name)?.close()
    paced.delete(options.name)
  },
  addRetained,
  addSessions,
  addSubscriptions,
  endSubscriptions: (_: Readonly<Record<string, never>>) => endSubscriptions(),
  readRetained,
  createTopic,
  fetchAll,
  produceAll,
  runPaced,
  stored: (options: { readonly port: number; readonly topic: string; readonly partitions: number }) =>
    stored(options.port, options.topic, options.partitions),
  writeToDisk
}

export type Calls = typeof calls

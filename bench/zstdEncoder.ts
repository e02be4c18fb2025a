// CPU per frame of the encoder that keeps its context beside zstdCompressSync, which makes one for each call:
// `node --conditions=source bench/zstdEncoder.ts`. Three kinds of payloads of 100 B in 45 KB of records with MQTT headers;
// it does not prove anything about other sizes or levels.
import { randomBytes } from "node:crypto"
import { constants, zstdCompressSync } from "node:zlib"
import { ZstdEncoder } from "@logbrook/core/ZstdEncoder"

const level = 1
const warmUp = 300
const calls = 2000
const recordsPerBatch = 250

const payloads = {
  alike: () => Buffer.alloc(100, "x"),
  json: () =>
    Buffer.from(JSON.stringify({ temperature: Math.random() * 40, humidity: Math.random() * 100 }).padEnd(100)),
  random: () => randomBytes(100)
}

const batchOf = (payload: () => Buffer): Buffer => {
  const headers = Buffer.from("mqtt.topicsensors/device-0123/datamqtt.clientiddevice-0123mqtt.qos1mqtt.retain0")
  return Buffer.concat(Array.from({ length: recordsPerBatch }, () => Buffer.concat([headers, payload()])))
}

const cpuUs = (run: () => unknown): number => {
  for (let i = 0; i < warmUp; i++) run()
  const before = process.cpuUsage()
  for (let i = 0; i < calls; i++) run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

const encoder = new ZstdEncoder(level)
for (const [name, payload] of Object.entries(payloads)) {
  const batch = batchOf(payload)
  const options = { params: { [constants.ZSTD_c_compressionLevel]: level } }
  const each = cpuUs(() => zstdCompressSync(batch, options))
  const kept = cpuUs(() => encoder.encode(batch))
  console.log(`${name}: ${batch.length} bytes, ${each.toFixed(1)} µs anew, ${kept.toFixed(1)} µs kept`)
}

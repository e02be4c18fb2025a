/** Encoding, merging and walking 100 B records with a key and four headers. One process, no other load, warm. */
import { encodeHeaders, RecordReader, RecordsBuilder } from "@logbrook/core/Record"

const utf8 = new TextEncoder()
const count = 1000
const rounds = 500
const key = utf8.encode("meter-00001234")
const value = new Uint8Array(100).fill(120)
const block = encodeHeaders([
  [utf8.encode("mqtt.clientid"), key],
  [utf8.encode("mqtt.topic"), utf8.encode("site/12/meter/1234/power")],
  [utf8.encode("mqtt.qos"), utf8.encode("1")],
  [utf8.encode("mqtt.retain"), utf8.encode("0")]
])

const measure = (name: string, run: () => void): void => {
  let bestNs = Infinity
  for (let repeat = 0; repeat < 5; repeat++) {
    const began = process.hrtime.bigint()
    for (let round = 0; round < rounds; round++) run()
    bestNs = Math.min(bestNs, Number(process.hrtime.bigint() - began) / (rounds * count))
  }
  console.log(`${name}: ${bestNs.toFixed(0)} ns per record`)
}

const builder = new RecordsBuilder(1 << 24)
measure("append", () => {
  builder.reset()
  for (let at = 0; at < count; at++) builder.append(key, value, block, 1_800_000_000_000 + (at >> 5))
})

const records = builder.bytes.slice()
const merged = new RecordsBuilder(1 << 24)
measure("appendRecords", () => {
  merged.reset()
  merged.begin(1_800_000_000_000)
  merged.appendRecords(records, count, 0, 0)
})

const reader = new RecordReader()
let sum = 0
measure("walk", () => {
  reader.reset(records)
  while (reader.next()) sum += reader.valueLength
})
if (sum === 0) throw new Error("nothing was walked")

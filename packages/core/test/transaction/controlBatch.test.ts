import * as RecordBatch from "@logbrook/core/RecordBatch"
import { RecordReader } from "@logbrook/core/Record"
import { controlBatch } from "@logbrook/core/transaction/controlBatch"
import type { Marker } from "@logbrook/core/transaction/Marker"
import { expect, it } from "vitest"

const marker: Marker = { producerId: 0x1_2345_6789, producerEpoch: 0x7ffe, coordinatorEpoch: 77, outcome: "commit" }

it("a control batch is the one that Kafka writes, byte for byte", () => {
  const batch = controlBatch(
    { producerId: 5, producerEpoch: 3, coordinatorEpoch: 9, outcome: "commit" },
    1_700_000_000_000
  )
  // Apache Kafka 4.3.1: MemoryRecords.withEndTransactionMarker(0, 1700000000000, 0, 5, 3, new EndTransactionMarker(COMMIT, 9))
  expect(Buffer.from(batch).toString("hex")).toBe(
    "0000000000000000000000420000000002545434e00030000000000000018bcfe568000000018bcfe5680000000000000000050003" +
      "ffffffff000000012000000008000000010c00000000000900"
  )
})

it("a control batch tells its marker, and its CRC is right", () => {
  const batch = controlBatch({ ...marker, outcome: "abort" }, 5)
  expect(RecordBatch.splitBatches(batch)).toEqual([batch])
  expect([RecordBatch.isControl(batch), RecordBatch.isTransactional(batch)]).toEqual([true, true])
  expect([RecordBatch.producerId(batch), RecordBatch.producerEpoch(batch)]).toEqual([0x1_2345_6789, 0x7ffe])
  const reader = new RecordReader().reset(batch.subarray(RecordBatch.batchHeaderBytes))
  expect(reader.next()).toBe(true)
  expect([...reader.key()!]).toEqual([0, 0, 0, 0])
  expect(reader.next()).toBe(false)
})

import { ExtentPages, type Extent } from "@logbrook/core/journal/Extent"
import { SegmentChain, type Segment } from "@logbrook/core/journal/SegmentChain"
import { parseSegmentName, segmentName } from "@logbrook/core/journal/segmentNames"
import { Shard } from "@logbrook/core/shard/Shard"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { SimDisk } from "../SimDisk.ts"
import { SimSegment } from "../SimSegment.ts"
import { inMethod, type PlantedFault } from "./Hooks.ts"

type StartOffsets = ReadonlyArray<readonly [logId: number, startOffset: number]>

/** In what settles, rewrites and merges segments, and in what reads them. */
export const settleFaults: ReadonlyArray<PlantedFault> = [
  inMethod("a log's readers stay with a segment that is given up", LogStore.prototype, "settle", (original) => {
    let count = 0
    return (self: LogStore, ...args: ReadonlyArray<never>) => (++count % 3 === 0 ? 0 : original(self, ...args))
  }),
  inMethod("a run is not written", SimSegment.prototype, "putRun", (original) => {
    let count = 0
    return (self: SimSegment, ...args: ReadonlyArray<never>) =>
      ++count % 5 === 0 ? Promise.resolve(true) : original(self, ...args)
  }),
  inMethod("a run is shorter than its references", SimSegment.prototype, "putRun", (original) => {
    return (self: SimSegment, logId: number, lastOffset: number, bytes: Uint8Array) =>
      original(self, logId, lastOffset, bytes.subarray(0, bytes.length - 1))
  }),
  inMethod("a run's extent tells of one record less", ExtentPages.prototype, "add", (original) => {
    return (self: ExtentPages, extent: Extent) => original(self, { ...extent, count: Math.max(1, extent.count - 1) })
  }),
  inMethod("a settled segment lacks a frame", SimSegment.prototype, "putFrame", (original) => {
    let count = 0
    return (self: SimSegment, ...args: ReadonlyArray<never>) =>
      ++count % 40 === 0 ? Promise.resolve(true) : original(self, ...args)
  }),
  inMethod("a settled segment lacks its snapshots", SimSegment.prototype, "seal", (original) => {
    return (self: SimSegment, ...args: ReadonlyArray<never>) =>
      self.isSettled ? Promise.resolve(true) : original(self, ...args)
  }),
  inMethod("records that have not expired are left out", LogStore.prototype, "startOffsets", (original) => {
    return (self: LogStore, ...args: ReadonlyArray<never>) =>
      (original(self, ...args) as StartOffsets).map(([logId, startOffset]) => [logId, startOffset + 1])
  }),
  inMethod("a rewrite leaves out events that a start needs", Shard.prototype, "keptFromSeq", () => {
    return (self: Shard) => self.nextSeq
  }),
  inMethod("a segment that is needed is dropped with the oldest", SegmentChain.prototype, "dropOldest", (original) => {
    return async (self: SegmentChain<Segment>) => {
      await original(self)
      await original(self)
    }
  }),
  inMethod("readers go over to a file that has not got its name", SimDisk.prototype, "rename", () => () => undefined),
  inMethod("a start takes what a crash has left of a settling", SimDisk.prototype, "open", (original) => {
    return (self: SimDisk) => {
      for (const [name, segment] of self.files) {
        const source = parseSegmentName(name.replace(/\.runs\.tmp$/, ".mdb"))
        if (name.endsWith(".tmp") && source !== undefined) {
          self.files.set(segmentName(source.number, source.lastNumber, 1).name, segment)
        }
      }
      return original(self)
    }
  }),
  inMethod("appends that waited for a settling wait for ever", Shard.prototype, "hold", (original) => {
    return (self: Shard, isHeld: boolean) => (isHeld ? original(self, true) : undefined)
  })
]

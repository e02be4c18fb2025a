import type { PartitionCursor } from "./PartitionCursor.ts"

/** The records of several partitions, the oldest first, each partition's in its own order. The lower partition's comes first where times are equal. */
export class StreamMerge {
  readonly cursors: ReadonlyArray<PartitionCursor>
  readonly #bytesMax: number

  /** `bytesMax`: of one read of a partition. */
  constructor(cursors: ReadonlyArray<PartitionCursor>, bytesMax: number) {
    this.cursors = cursors
    this.#bytesMax = bytesMax
  }

  /** The cursor at the oldest record that is there; undefined: there is none. `offsetMax`, by partition, is what is not looked at. */
  next(offsetMax: ReadonlyMap<number, number> | number): PartitionCursor | undefined {
    let oldest: PartitionCursor | undefined
    for (const cursor of this.cursors) {
      const max = typeof offsetMax === "number" ? offsetMax : (offsetMax.get(cursor.partition) ?? 0)
      if (!cursor.hasNext(this.#bytesMax, max)) continue
      if (oldest === undefined || cursor.timestampMs < oldest.timestampMs) oldest = cursor
    }
    return oldest
  }

  get heldBytes(): number {
    let bytes = 0
    for (const cursor of this.cursors) bytes += cursor.heldBytes
    return bytes
  }

  letGo(): void {
    for (const cursor of this.cursors) cursor.letGo()
  }
}

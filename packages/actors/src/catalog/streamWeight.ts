import { textBytes } from "@logbrook/core/memory/MemoryAccount"
import { levelsOf } from "@logbrook/core/TopicFilter"
import type { Deletion, SavedStream, Stream } from "./CatalogProtocol.ts"

// Bytes of memory, measured by bench/memoryWeights.ts with the shell's directory, the partitions' actors and logs. A partition
// counts as one that has records and a producer from the beginning on: nobody is asked again when it gets them.
const streamBytes = 1200
const partitionBytes = 2400
const filterBytes = 300
const levelBytes = 260
const settingBytes = 250
const deletionBytes = 200
const logIdBytes = 8

/** The memory of a deleted stream until nothing is left of it. */
export const weightOfDeletion = ({ name, logIds }: Deletion): number =>
  deletionBytes + logIdBytes * logIds.length + textBytes(name)

/** In constant time but for what the stream itself has. */
export const weightOfStream = ({ name, key, logIds, filters, config }: Stream | SavedStream): number => {
  let bytes = streamBytes + partitionBytes * logIds.length + 2 * textBytes(name) + textBytes(key)
  for (const filter of filters) bytes += filterBytes + levelBytes * levelsOf(filter).length + 2 * textBytes(filter)
  for (const [setting, value] of config) bytes += settingBytes + 2 * textBytes(setting) + 2 * textBytes(value)
  return bytes
}

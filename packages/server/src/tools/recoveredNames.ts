import { ReadOnlyChain, type ChainLink } from "@logbrook/core/doctor/ReadOnlyChain"
import { SegmentFile } from "@logbrook/core/journal/SegmentFile"
import { listSegments } from "@logbrook/core/doctor/segments"
import type { Seq } from "@logbrook/core/journal/Journal"
import { streamNamesAt, type StreamNames } from "./StreamNames.ts"

/** The streams' names in a directory that may be damaged from `endSeq` on; undefined if they cannot be told. */
export const recoveredNames = (directory: string, endSeq: Seq): StreamNames | undefined => {
  const links: Array<ChainLink> = []
  try {
    for (const { name, file, bytes } of listSegments(directory).segments) {
      const source = SegmentFile.open(file)
      links.push({ name, source, firstSeq: source.firstSeq, nextSeq: endSeq, bytes })
      if (source.firstSeq < endSeq) continue
      links.pop()
      source.close()
      break
    }
    return streamNamesAt(
      new ReadOnlyChain(links.map((link, i) => ({ ...link, nextSeq: links[i + 1]?.source.firstSeq ?? endSeq }))),
      endSeq
    )
  } catch {
    // Names are for people: without them ids are shown.
    return undefined
  } finally {
    for (const { source } of links) void source.close()
  }
}

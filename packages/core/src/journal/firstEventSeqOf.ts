import type { Seq } from "./Journal.ts"

/** A segment of a chain. */
interface Link {
  readonly source: { readonly firstSeq: Seq; readonly firstEventSeq: Seq }
  readonly nextSeq: Seq
}

/**
 * The seq where the events begin: from there on no segment lacks any. Nobody can fold events that are older than a
 * segment without its events; they go when their segment is rewritten.
 */
export const firstEventSeqOf = (links: ReadonlyArray<Link>): Seq => {
  let from = links[0]!.source.firstEventSeq
  for (const { source, nextSeq } of links) {
    if (source.firstEventSeq > source.firstSeq) from = Math.min(source.firstEventSeq, nextSeq)
  }
  return from
}

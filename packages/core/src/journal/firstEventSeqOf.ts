import type { Seq } from "./Journal.ts"

/** One of a chain, the oldest first. */
interface Link {
  readonly source: { readonly firstSeq: Seq; readonly firstEventSeq: Seq }
  readonly nextSeq: Seq
}

/**
 * Where the events begin: from there on no segment lacks any. What is older than a segment without its events nobody can
 * fold, and it goes when it is rewritten.
 */
export const firstEventSeqOf = (links: ReadonlyArray<Link>): Seq => {
  let from = links[0]!.source.firstEventSeq
  for (const { source, nextSeq } of links) {
    if (source.firstEventSeq > source.firstSeq) from = Math.min(source.firstEventSeq, nextSeq)
  }
  return from
}
